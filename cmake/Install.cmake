# SPDX-License-Identifier: Apache-2.0
# What `make install` copies; `make uninstall` names the same files, and `make check` compares.
if(TARGET sluice)
  install(TARGETS sluice RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(FILES ${CMAKE_SOURCE_DIR}/packaging/sluice.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
