# SPDX-License-Identifier: Apache-2.0
sluice_fuzzer(h1_relay
  SOURCES fuzz_h1_relay.c head_model.c relay_model.c relay_ops.c ../unit/proxy/relay_stage.c
  ../unit/proxy/stage_policy.c
  USES relay)
if(TARGET fuzz_h1_relay)
  target_include_directories(fuzz_h1_relay PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib
    ${CMAKE_SOURCE_DIR}/tests/unit/proxy)
endif()
sluice_fuzzer(h2_relay
  SOURCES fuzz_h2_relay.c ../unit/proxy/h2_stage.c
  ../unit/proxy/stage_policy.c ../lib/h2_text.c
  USES relay)
if(TARGET fuzz_h2_relay)
  target_include_directories(fuzz_h2_relay PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib
    ${CMAKE_SOURCE_DIR}/tests/unit/proxy)
endif()
