# SPDX-License-Identifier: Apache-2.0

# The libraries below ours.  Their names are prefixed, since those without are
# the host's; and whoever links a library of ours in another folder of the host
# has to find what it links.
find_package(PkgConfig REQUIRED)
pkg_check_modules(CMT_SODIUM REQUIRED IMPORTED_TARGET GLOBAL libsodium)
if(CMT_CORE_ONLY)
  return()
endif()
pkg_check_modules(CMT_UV REQUIRED IMPORTED_TARGET GLOBAL libuv)
if(CMT_COMMAND OR CMT_TESTS OR CMT_BENCH)
  pkg_check_modules(CMT_JANSSON REQUIRED IMPORTED_TARGET jansson)
endif()
if(CMT_COMMAND)
  pkg_check_modules(CMT_MHD REQUIRED IMPORTED_TARGET libmicrohttpd)
endif()
set(had_threads OFF)
if(TARGET Threads::Threads)
  set(had_threads ON)
endif()
find_package(Threads REQUIRED)
if(NOT had_threads)
  set_target_properties(Threads::Threads PROPERTIES IMPORTED_GLOBAL ON)
endif()
