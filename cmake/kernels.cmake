# SPDX-License-Identifier: Apache-2.0

# Frame kernels with instructions of their own: each is one file that is
# compiled for them, and chosen while the program runs.  -DCMT_KERNELS=OFF, or
# another processor than 64-bit x86, leaves them out, and frames go through
# libsodium.  They are optimised in every build: without that they would be
# slower than what they replace.
set(kernels_x86 avx2 avx512)
set(flags_avx2 -mavx2 -mbmi2)
set(flags_avx512 -mavx512f -mavx512ifma -mbmi2)

# Values that gcc keeps from one expression for another cost it registers that the
# kernels do not have: 3 % of a frame.
if(CMAKE_C_COMPILER_ID STREQUAL GNU)
  list(APPEND flags_avx2 -fno-gcse)
endif()

# cmt_kernel_flags(SOURCE NAME)
function(cmt_kernel_flags source name)
  set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
    "-O3;${flags_${name}}")
endfunction()

# cmt_kernels(TARGET): adds them, and their names as its property CMT_KERNELS.
function(cmt_kernels target)
  if(NOT CMT_KERNELS OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$"
      OR NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
    return()
  endif()
  foreach(name ${kernels_x86})
    set(source ${PROJECT_SOURCE_DIR}/src/crypto/x86/aead_${name}.c)
    target_sources(${target} PRIVATE ${source})
    cmt_kernel_flags(${source} ${name})
  endforeach()
  set_target_properties(${target} PROPERTIES CMT_KERNELS "${kernels_x86}")
  target_compile_definitions(${target} PRIVATE CMT_KERNELS_X86)
endfunction()
