# SPDX-License-Identifier: Apache-2.0

# The name that a program keeps of the library it was linked with: until 1.0
# every minor version may break the ABI, from then on major versions only.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(abi_version ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
else()
  set(abi_version ${PROJECT_VERSION_MAJOR})
endif()

# cmt_versioned(TARGET NODE): a shared library whose file name and whose symbols
# have the version of its ABI; NODE is the name of that of the symbols.
function(cmt_versioned target node)
  set(symbol_map ${CMAKE_CURRENT_BINARY_DIR}/${target}.map)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/cometp2p.map.in ${symbol_map} @ONLY)
  set_target_properties(${target} PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${abi_version} LINK_DEPENDS ${symbol_map})
  target_link_options(${target} PRIVATE
    "LINKER:--version-script=${symbol_map}")
endfunction()

# cmt_library(NAME NODE node OBJECTS target... LINK library...): the archive
# NAME-static and the shared library NAME-shared of the same objects.
function(cmt_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "NODE" "OBJECTS;LINK")
  set(objects "")
  foreach(target ${arg_OBJECTS})
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  foreach(kind STATIC SHARED)
    string(TOLOWER ${name}-${kind} library)
    add_library(${library} ${kind} ${objects})
    set_target_properties(${library} PROPERTIES OUTPUT_NAME ${name}
      LINKER_LANGUAGE C)
    target_include_directories(${library}
      PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
    target_link_libraries(${library} PRIVATE ${arg_LINK})
  endforeach()
  cmt_versioned(${name}-shared ${arg_NODE})
endfunction()
