# SPDX-License-Identifier: Apache-2.0

# cometp2p_protobuf_generate(TARGET target PROTOS name...)
#
# Compiles messages of CometBFT with protoc-c and makes them a part of a target
# of this folder, which finds "NAME.pb-c.h" then.  A name is that of a file of
# cometp2p's proto folder, such as "mempool" or "consensus"; the files that it
# imports come by themselves.  The target has to link cometp2p::protobuf, or
# libprotobuf-c itself.
function(cometp2p_protobuf_generate)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "TARGET" "PROTOS")
  get_property(protos GLOBAL PROPERTY cometp2p_proto_folder)
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_TARGET OR NOT arg_PROTOS)
    message(FATAL_ERROR "cometp2p_protobuf_generate: \"${ARGN}\" are not the "
      "arguments: TARGET target PROTOS name...")
  endif()
  set(folder "")
  if(TARGET ${arg_TARGET})
    get_target_property(folder ${arg_TARGET} SOURCE_DIR)
  endif()
  if(NOT folder STREQUAL CMAKE_CURRENT_SOURCE_DIR)
    message(FATAL_ERROR "cometp2p_protobuf_generate: TARGET ${arg_TARGET} is "
      "not a target of ${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  find_program(CMT_PROTOC_C protoc-c)
  if(NOT CMT_PROTOC_C)
    message(FATAL_ERROR "cometp2p_protobuf_generate: protoc-c was not found "
      "(in Debian: protobuf-c-compiler)")
  endif()

  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${arg_TARGET}-cometp2p)
  file(MAKE_DIRECTORY ${folder})
  set(names ${arg_PROTOS})
  get_property(done TARGET ${arg_TARGET} PROPERTY cometp2p_protos)
  while(names)
    list(POP_FRONT names name)
    set(proto ${protos}/${name}.proto)
    if(name IN_LIST done)
      continue()
    elseif(NOT EXISTS ${proto})
      file(GLOB there RELATIVE ${protos} ${protos}/*.proto)
      list(TRANSFORM there REPLACE "\\.proto$" "")
      list(JOIN there ", " there)
      message(FATAL_ERROR "cometp2p_protobuf_generate: PROTOS ${name} is none "
        "of ${there}")
    endif()
    file(STRINGS ${proto} imports REGEX "^import ")
    list(TRANSFORM imports REPLACE "^import \"(.*)\\.proto\".*$" "\\1")
    list(APPEND names ${imports})
    list(APPEND done ${name})
    list(TRANSFORM imports PREPEND ${protos}/)
    list(TRANSFORM imports APPEND .proto)
    add_custom_command(OUTPUT ${folder}/${name}.pb-c.c ${folder}/${name}.pb-c.h
      COMMAND ${CMT_PROTOC_C} --c_out=${folder} -I${protos} ${proto}
      DEPENDS ${proto} ${imports} VERBATIM)
    target_sources(${arg_TARGET} PRIVATE ${folder}/${name}.pb-c.c
      ${folder}/${name}.pb-c.h)
    # Nobody can mend the warnings of generated code.
    set_source_files_properties(${folder}/${name}.pb-c.c PROPERTIES
      COMPILE_OPTIONS -w)
  endwhile()
  # Another call for the same target adds what is new.
  set_property(TARGET ${arg_TARGET} PROPERTY cometp2p_protos "${done}")
  target_include_directories(${arg_TARGET} SYSTEM PUBLIC
    $<BUILD_INTERFACE:${folder}>)
endfunction()
