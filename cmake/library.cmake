# SPDX-License-Identifier: Apache-2.0

# The name that a program keeps of the library it was linked with: until 1.0
# every minor version may break the ABI, from then on major versions only.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(abi_version ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
else()
  set(abi_version ${PROJECT_VERSION_MAJOR})
endif()
set(symbol_map ${CMAKE_CURRENT_BINARY_DIR}/cometp2p.map)
configure_file(cmake/cometp2p.map.in ${symbol_map} @ONLY)

# cmt_versioned(TARGET): a shared library whose file name and whose symbols have
# the version of its ABI.
function(cmt_versioned target)
  set_target_properties(${target} PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${abi_version} LINK_DEPENDS ${symbol_map})
  target_link_options(${target} PRIVATE
    "LINKER:--version-script=${symbol_map}")
endfunction()
