# SPDX-License-Identifier: Apache-2.0
# The libraries and tools that sluice is built from, all from the distribution.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(LIBBPF REQUIRED IMPORTED_TARGET libbpf>=1.1)
pkg_check_modules(LIBFYAML REQUIRED IMPORTED_TARGET libfyaml>=0.7)
pkg_check_modules(LIBHS REQUIRED IMPORTED_TARGET libhs>=5.4)
pkg_check_modules(LIBNGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2>=1.52)
pkg_check_modules(LIBPROTOBUFC REQUIRED IMPORTED_TARGET libprotobuf-c>=1.4)
pkg_check_modules(LIBSECCOMP REQUIRED IMPORTED_TARGET libseccomp>=2.5)
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka>=1.1)

find_program(BPF_CLANG NAMES clang REQUIRED)
find_program(PROTOC_C NAMES protoc-c REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

# Debian ships llhttp as C sources, in the package node-llhttp.
set(LLHTTP_SOURCE_DIR /usr/share/llhttp CACHE PATH "llhttp's generated C sources")
set(LLHTTP_INCLUDE_DIR /usr/share/include CACHE PATH "where llhttp/llhttp.h is")
if(NOT EXISTS ${LLHTTP_SOURCE_DIR}/llhttp.c)
  message(FATAL_ERROR "llhttp's sources are not in ${LLHTTP_SOURCE_DIR}: install node-llhttp")
endif()
add_library(llhttp STATIC
  ${LLHTTP_SOURCE_DIR}/api.c ${LLHTTP_SOURCE_DIR}/http.c ${LLHTTP_SOURCE_DIR}/llhttp.c)
target_include_directories(llhttp SYSTEM
  PUBLIC ${LLHTTP_INCLUDE_DIR} PRIVATE ${LLHTTP_INCLUDE_DIR}/llhttp)
target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
target_compile_options(llhttp PRIVATE -w -O2)
