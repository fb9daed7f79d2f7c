# SPDX-License-Identifier: Apache-2.0

# What hardens the libraries and the command, in optimised builds without
# sanitizers: each flag once, in this file.  tests/install/binaries.py looks for
# all of them in what is installed.  -DCMT_HARDEN=OFF leaves them out.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckPIESupported)

# Executables are position-independent, whatever is the compiler's default.
check_pie_supported(LANGUAGES C)

if(NOT CMT_HARDEN OR CMT_SANITIZE OR CMT_FUZZ)
  return()
endif()
set(optimised "$<CONFIG:Release,RelWithDebInfo,MinSizeRel>")

# cmt_harden(FLAG): adds it where the compiler has it.
macro(cmt_harden flag)
  string(MAKE_C_IDENTIFIER "CMT_HAVE${flag}" has)
  check_c_compiler_flag(${flag} ${has})
  if(${has})
    add_compile_options("$<${optimised}:${flag}>")
  endif()
endmacro()

# Overwritten return addresses; stacks that grow past their guard page; jumps
# to anywhere but the begin of a function.
cmt_harden(-fstack-protector-strong)
cmt_harden(-fstack-clash-protection)
cmt_harden(-fcf-protection)

# Checked variants of the calls that write to memory.  Level 3 knows the sizes
# of allocated blocks too, and an older C library warns that it has none.
set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
check_c_source_compiles("#include <string.h>
  int main(void) { return (int)strlen(\"\"); }" CMT_HAVE_FORTIFY_3)
unset(CMAKE_REQUIRED_FLAGS)
set(fortify_level 2)
if(CMT_HAVE_FORTIFY_3)
  set(fortify_level 3)
endif()
add_compile_options("$<${optimised}:-U_FORTIFY_SOURCE>"
  "$<${optimised}:-D_FORTIFY_SOURCE=${fortify_level}>")

# All symbols are bound at the start, and what holds them is read-only from then
# on.  No stack is executable.
add_link_options("$<${optimised}:LINKER:-z,relro>"
  "$<${optimised}:LINKER:-z,now>" "$<${optimised}:LINKER:-z,noexecstack>")

# Paths in binaries are relative to the sources.
check_c_compiler_flag(-ffile-prefix-map=a=b CMT_HAVE_FILE_PREFIX_MAP)
if(CMT_HAVE_FILE_PREFIX_MAP)
  add_compile_options(
    "$<${optimised}:-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=>"
    "$<${optimised}:-ffile-prefix-map=${CMAKE_BINARY_DIR}=.>")
endif()
