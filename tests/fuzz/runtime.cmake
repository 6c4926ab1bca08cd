# SPDX-License-Identifier: Apache-2.0
sluice_fuzzer(cri
  SOURCES fuzz_cri.c ../unit/runtime/fake_runtime.c ../lib/h2_text.c
  USES runtime)
if(TARGET fuzz_cri)
  target_include_directories(fuzz_cri PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib
    ${CMAKE_SOURCE_DIR}/tests/unit/runtime)
endif()
