# SPDX-License-Identifier: Apache-2.0
# The interface library `flags`: how every C file of ours is compiled.
include(CheckPIESupported)
check_pie_supported()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# No NDEBUG: an assertion guards what only our own bug can break, in releases as well.
set(CMAKE_C_FLAGS_RELEASE "-O2")

add_library(flags INTERFACE)
target_compile_definitions(flags INTERFACE _GNU_SOURCE SLUICE_VERSION="${PROJECT_VERSION}")
target_compile_options(flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wvla
  -Wformat=2 -Wundef -Wno-unused-parameter -Werror
  -fno-strict-aliasing -fno-common -fstack-protector-strong -g)
if(SLUICE_SANITIZE OR SLUICE_FUZZ)
  target_compile_definitions(flags INTERFACE SLUICE_SANITIZED=1)
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_compile_options(${sanitizers})
  add_link_options(${sanitizers})
endif()
if(SLUICE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(NOT SLUICE_SANITIZE AND NOT SLUICE_FUZZ AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  # Undefined first: some distributions' compilers define it themselves.
  target_compile_options(flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
target_link_options(flags INTERFACE -Wl,-z,relro,-z,now)
