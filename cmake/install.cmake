# SPDX-License-Identifier: Apache-2.0

# The package: command, libraries, headers, documents, pkg-config files, and a
# CMake package with a component and a target for each library.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cometp2p)
set(headers_dir ${CMAKE_INSTALL_INCLUDEDIR})

if(TARGET cometp2p)
  install(TARGETS cometp2p)
  file(GLOB man_pages CONFIGURE_DEPENDS man/*.1)
  install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
install(DIRECTORY include/cometp2p DESTINATION ${headers_dir}
  FILES_MATCHING PATTERN "*.h" PATTERN "protobuf.h" EXCLUDE)
install(FILES contrib/tsan.supp DESTINATION ${CMAKE_INSTALL_DATADIR}/cometp2p)
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR}
  FILES_MATCHING PATTERN "*.c" PATTERN "*.proto")
install(DIRECTORY docs/guide DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The messages, which protoc-c compiles for whoever wants them.
set(proto_folder ${CMAKE_INSTALL_DATADIR}/cometp2p/proto)
install(DIRECTORY proto/ DESTINATION ${proto_folder}
  FILES_MATCHING PATTERN "*.proto" PATTERN "README.md")

# cmt_install(TARGET COMPONENT PC...): what was built of a component, with a file
# of its own for its target, so that a program meets the dependencies of those
# components alone which it asks for; and its pkg-config files.
set(pc_names "")
macro(cmt_install target component)
  if(TARGET ${target})
    install(TARGETS ${target} EXPORT cometp2p-${component}
      INCLUDES DESTINATION ${headers_dir})
    install(EXPORT cometp2p-${component} NAMESPACE cometp2p::
      FILE cometp2p-${component}-targets.cmake DESTINATION ${package_dir})
    list(APPEND pc_names ${ARGN})
  endif()
endmacro()
cmt_install(cometp2p-core-shared core cometp2p-core)
cmt_install(cometp2p-core-static core-static cometp2p-core-static)
cmt_install(cometp2p-shared cometp2p cometp2p)
cmt_install(cometp2p-static static cometp2p-static)
cmt_install(cometp2p-protobuf-shared protobuf cometp2p-protobuf)
if(TARGET cometp2p-protobuf-static)
  install(FILES include/cometp2p/protobuf.h DESTINATION ${headers_dir}/cometp2p)
  install(FILES cmake/cometp2p-protobuf-generate.cmake DESTINATION ${package_dir})
  install(FILES $<TARGET_FILE:cometp2p-protobuf-static>
    DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

configure_package_config_file(cmake/cometp2p-config.cmake.in cometp2p-config.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS proto_folder
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(cometp2p-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cometp2p-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/cometp2p-config-version.cmake
  DESTINATION ${package_dir})

# The way from the pkg-config files up to the prefix keeps them right after
# "cmake --install --prefix", or when the whole tree is moved.
file(RELATIVE_PATH pc_to_prefix
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
# Some systems give the archive of libuv a name of its own.
pkg_check_modules(CMT_UV_STATIC QUIET libuv-static)
set(uv_static libuv)
if(CMT_UV_STATIC_FOUND)
  set(uv_static libuv-static)
endif()
foreach(name ${pc_names})
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
