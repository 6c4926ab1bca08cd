# SPDX-License-Identifier: Apache-2.0
# sluice_part(NAME SOURCES file... [USES target...])
# One folder, one static library, one include path: a header that a part may not know does not compile.
function(sluice_part name)
  cmake_parse_arguments(part "" "" "SOURCES;USES" ${ARGN})
  add_library(${name} STATIC ${part_SOURCES})
  target_include_directories(${name}
    PUBLIC ${CMAKE_SOURCE_DIR}/include ${CMAKE_CURRENT_SOURCE_DIR}
    PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
  target_link_libraries(${name} PUBLIC ${part_USES} PRIVATE flags)
  sluice_whole_program_part(${name})
endfunction()

# sluice_unit_test(NAME SOURCES file... USES part...): a cmocka program tests/unit/.../test_NAME.c
function(sluice_unit_test name)
  cmake_parse_arguments(test "" "" "SOURCES;USES" ${ARGN})
  if(NOT CMOCKA_FOUND OR SLUICE_FUZZ)
    return()
  endif()
  add_executable(test_${name} ${test_SOURCES})
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib)
  target_link_libraries(test_${name} PRIVATE ${test_USES} PkgConfig::CMOCKA flags)
  add_test(NAME ${name} COMMAND test_${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

# sluice_fuzzer(NAME SOURCES file... USES part...): a libFuzzer program
function(sluice_fuzzer name)
  cmake_parse_arguments(fuzz "" "" "SOURCES;USES" ${ARGN})
  if(NOT SLUICE_FUZZ)
    return()
  endif()
  add_executable(fuzz_${name} ${fuzz_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ${fuzz_USES} flags)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
