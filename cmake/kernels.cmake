# SPDX-License-Identifier: Apache-2.0

# Frame kernels with instructions of their own: each is one file that is
# compiled for them, and chosen while the program runs.  -DCMT_KERNELS=OFF, or
# another processor than 64-bit x86 and 64-bit ARM, leaves them out, and frames go
# through libsodium.  They are optimised in every build: without that they would
# be slower than what they replace.
set(kernels_x86 avx2 avx512)
set(kernels_arm neon)
set(flags_avx2 -mavx2 -mbmi2)
set(flags_avx512 -mavx512f -mavx512ifma -mbmi2)
set(flags_neon)

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

# The folder of src/crypto with the kernels of this processor; none: empty.
set(kernels_of "")
if(CMT_KERNELS AND CMAKE_SIZEOF_VOID_P EQUAL 8
    AND NOT CMAKE_C_BYTE_ORDER STREQUAL BIG_ENDIAN)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    set(kernels_of x86)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
    set(kernels_of arm)
  endif()
endif()

# cmt_kernels(TARGET): adds them, and their names as its property CMT_KERNELS.
function(cmt_kernels target)
  if(kernels_of STREQUAL "")
    return()
  endif()
  foreach(name ${kernels_${kernels_of}})
    set(source ${PROJECT_SOURCE_DIR}/src/crypto/${kernels_of}/aead_${name}.c)
    target_sources(${target} PRIVATE ${source})
    cmt_kernel_flags(${source} ${name})
  endforeach()
  set_target_properties(${target} PROPERTIES CMT_KERNELS "${kernels_${kernels_of}}")
  string(TOUPPER ${kernels_of} processor)
  target_compile_definitions(${target} PRIVATE CMT_KERNELS_${processor})
endfunction()
