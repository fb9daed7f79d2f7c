# SPDX-License-Identifier: Apache-2.0

# Cross-compiles for 64-bit ARM on Debian, and runs what was built under QEMU.
# CMT_SYSROOT is a folder with the libraries of that processor; "./dev arm64"
# fills one.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CMT_SYSROOT)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMT_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${CMT_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
set(CMAKE_FIND_ROOT_PATH ${CMT_SYSROOT} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# Debian has headers that differ between processors in a folder of their own.
set(CMAKE_C_FLAGS_INIT "-isystem ${CMT_SYSROOT}/usr/include/aarch64-linux-gnu")
