# SPDX-License-Identifier: Apache-2.0
# Seeds for them: tests/fuzz/parsers_seeds.py DIR
set(trace ${CMAKE_SOURCE_DIR}/tests/unit/parsers)
sluice_fuzzer(h1 SOURCES fuzz_h1.c ${trace}/h1_trace.c USES parsers)
sluice_fuzzer(path SOURCES fuzz_path.c path_server.c USES parsers)
sluice_fuzzer(detect SOURCES fuzz_detect.c USES parsers)
if(SLUICE_FUZZ)
  target_include_directories(fuzz_h1 PRIVATE ${trace} ${CMAKE_SOURCE_DIR}/tests/lib)
endif()
sluice_fuzzer(h2 SOURCES fuzz_h2.c ${trace}/h2_trace.c USES parsers)
if(SLUICE_FUZZ)
  target_include_directories(fuzz_h2 PRIVATE ${trace} ${CMAKE_SOURCE_DIR}/tests/lib)
endif()
