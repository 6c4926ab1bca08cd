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

# What is installed is optimised as a whole (sluice_whole_program()): a request goes through many
# small functions of many files. The objects hold ordinary code as well, which everything else
# links: the tests replace functions by name, which does not reach into a whole program.
set(SLUICE_WHOLE_PROGRAM OFF)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release"
   AND NOT SLUICE_SANITIZE AND NOT SLUICE_FUZZ)
  set(SLUICE_WHOLE_PROGRAM ON)
  add_link_options("$<$<NOT:$<BOOL:$<TARGET_PROPERTY:WHOLE_PROGRAM>>>:-fno-lto>")
endif()

function(sluice_whole_program_part target)
  if(SLUICE_WHOLE_PROGRAM)
    # Known to gcc alone; clang-tidy, which reads these options too, is to say nothing about it.
    target_compile_options(${target} PRIVATE -flto -ffat-lto-objects
      -Wno-ignored-optimization-argument)
  endif()
endfunction()

function(sluice_whole_program target)
  if(SLUICE_WHOLE_PROGRAM)
    target_compile_options(${target} PRIVATE -flto)
    target_link_options(${target} PRIVATE -flto=auto)
    set_target_properties(${target} PROPERTIES WHOLE_PROGRAM ON)
  endif()
endfunction()
