# SPDX-License-Identifier: Apache-2.0
# What `make install` copies; `make uninstall` names the same files, and `make check` compares.
if(TARGET sluice)
  install(TARGETS sluice RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(FILES ${CMAKE_SOURCE_DIR}/packaging/sluice.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
# It names the program by where it is installed, which is known only now.
install(CODE "
  file(READ \"${CMAKE_SOURCE_DIR}/packaging/sluice-agent.service\" unit)
  string(REPLACE /usr/bin/sluice \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/sluice\" unit \"\${unit}\")
  file(WRITE \"${CMAKE_CURRENT_BINARY_DIR}/sluice-agent.service\" \"\${unit}\")")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sluice-agent.service DESTINATION lib/systemd/system)
