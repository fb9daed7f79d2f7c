# SPDX-License-Identifier: Apache-2.0

# The optional library for messages of protobuf-c, built where protobuf-c is
# found: cometp2p-protobuf-static and cometp2p-protobuf-shared.
pkg_check_modules(PROTOBUF_C IMPORTED_TARGET libprotobuf-c)
find_program(PROTOC_C protoc-c)
if(NOT PROTOBUF_C_FOUND)
  message(STATUS "No libprotobuf-c: libcometp2p-protobuf is not built")
  return()
endif()

file(GLOB protobuf_sources CONFIGURE_DEPENDS src/protobuf/*.c)
add_library(cometp2p-protobuf-objects OBJECT ${protobuf_sources})
target_include_directories(cometp2p-protobuf-objects PRIVATE include)
target_link_libraries(cometp2p-protobuf-objects PRIVATE PkgConfig::PROTOBUF_C)

foreach(kind STATIC SHARED)
  string(TOLOWER ${kind} suffix)
  add_library(cometp2p-protobuf-${suffix} ${kind}
    $<TARGET_OBJECTS:cometp2p-protobuf-objects>)
  set_target_properties(cometp2p-protobuf-${suffix} PROPERTIES
    OUTPUT_NAME cometp2p-protobuf VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C)
  target_link_libraries(cometp2p-protobuf-${suffix} PUBLIC
    cometp2p-${suffix} PkgConfig::PROTOBUF_C)
endforeach()
set_target_properties(cometp2p-protobuf-shared PROPERTIES EXPORT_NAME protobuf)
add_dependencies(product cometp2p-protobuf-static cometp2p-protobuf-shared)

install(FILES include/cometp2p/protobuf.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cometp2p)
install(FILES $<TARGET_FILE:cometp2p-protobuf-static>
  DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS cometp2p-protobuf-shared EXPORT cometp2p-protobuf)
install(EXPORT cometp2p-protobuf NAMESPACE cometp2p::
  FILE cometp2p-protobuf-targets.cmake DESTINATION ${cmake_package_dir})
list(APPEND pc_names cometp2p-protobuf)

# cmt_generate_protobuf(NAME FILE.proto...): a library of generated code.
function(cmt_generate_protobuf name)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${name})
  file(MAKE_DIRECTORY ${folder})
  foreach(proto ${ARGN})
    get_filename_component(source ${proto} DIRECTORY)
    get_filename_component(stem ${proto} NAME_WE)
    add_custom_command(OUTPUT ${folder}/${stem}.pb-c.c ${folder}/${stem}.pb-c.h
      COMMAND ${PROTOC_C} --c_out=${folder} -I${source} ${proto}
      DEPENDS ${proto} VERBATIM)
    list(APPEND sources ${folder}/${stem}.pb-c.c)
  endforeach()
  add_library(${name} STATIC ${sources})
  # The initialisers of the generated headers cast a const away in user code.
  target_compile_options(${name} PRIVATE -w INTERFACE -Wno-cast-qual)
  target_include_directories(${name} SYSTEM PUBLIC ${folder})
  target_link_libraries(${name} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()
