# SPDX-License-Identifier: Apache-2.0

# Address book and peer exchange, on the public headers alone.
file(GLOB pex_sources CONFIGURE_DEPENDS src/pex/*.c)
add_library(cometp2p-pex-objects OBJECT ${pex_sources})
target_include_directories(cometp2p-pex-objects PRIVATE include)
