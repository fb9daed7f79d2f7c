# SPDX-License-Identifier: Apache-2.0

# The optional library for messages of protobuf-c: cometp2p-protobuf-static and
# cometp2p-protobuf-shared.
if(NOT CMT_PROTOBUF)
  return()
elseif(CMT_PROTOBUF STREQUAL "AUTO")
  pkg_check_modules(CMT_PROTOBUF_C IMPORTED_TARGET GLOBAL libprotobuf-c)
else()
  pkg_check_modules(CMT_PROTOBUF_C REQUIRED IMPORTED_TARGET GLOBAL libprotobuf-c)
endif()
find_program(CMT_PROTOC_C protoc-c)
if(NOT CMT_PROTOBUF_C_FOUND)
  message(STATUS "No libprotobuf-c: libcometp2p-protobuf is not built")
  return()
endif()

file(GLOB protobuf_sources CONFIGURE_DEPENDS src/protobuf/*.c)
add_library(cometp2p-protobuf-objects OBJECT ${protobuf_sources})
target_include_directories(cometp2p-protobuf-objects PRIVATE include)
target_link_libraries(cometp2p-protobuf-objects PRIVATE PkgConfig::CMT_PROTOBUF_C)

foreach(kind STATIC SHARED)
  string(TOLOWER ${kind} suffix)
  add_library(cometp2p-protobuf-${suffix} ${kind}
    $<TARGET_OBJECTS:cometp2p-protobuf-objects>)
  set_target_properties(cometp2p-protobuf-${suffix} PROPERTIES
    OUTPUT_NAME cometp2p-protobuf LINKER_LANGUAGE C)
  target_link_libraries(cometp2p-protobuf-${suffix} PUBLIC
    cometp2p-${suffix} PkgConfig::CMT_PROTOBUF_C)
endforeach()
set_target_properties(cometp2p-protobuf-shared PROPERTIES EXPORT_NAME protobuf)
add_library(cometp2p::protobuf ALIAS cometp2p-protobuf-shared)
cmt_versioned(cometp2p-protobuf-shared COMETP2P)

# For whoever has these sources in a folder, and for the examples.
include(${CMAKE_CURRENT_LIST_DIR}/cometp2p-protobuf-generate.cmake)
set_property(GLOBAL PROPERTY cometp2p_proto_folder ${PROJECT_SOURCE_DIR}/proto)

# cmt_generate_protobuf(NAME FILE.proto...): a library of generated code.
function(cmt_generate_protobuf name)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${name})
  file(MAKE_DIRECTORY ${folder})
  foreach(proto ${ARGN})
    get_filename_component(source ${proto} DIRECTORY)
    get_filename_component(stem ${proto} NAME_WE)
    add_custom_command(OUTPUT ${folder}/${stem}.pb-c.c ${folder}/${stem}.pb-c.h
      COMMAND ${CMT_PROTOC_C} --c_out=${folder} -I${source} ${proto}
      DEPENDS ${proto} VERBATIM)
    list(APPEND sources ${folder}/${stem}.pb-c.c)
  endforeach()
  add_library(${name} STATIC ${sources})
  # The initialisers of the generated headers cast a const away in user code.
  target_compile_options(${name} PRIVATE -w INTERFACE -Wno-cast-qual)
  target_include_directories(${name} SYSTEM PUBLIC ${folder})
  target_link_libraries(${name} PUBLIC PkgConfig::CMT_PROTOBUF_C)
endfunction()
