# SPDX-License-Identifier: Apache-2.0
# cmake -DBPFTOOL= -DOBJECT= -DNAME= -DOUTPUT= -P skeleton.cmake: a skeleton, or no file at all.
execute_process(
  COMMAND ${BPFTOOL} gen skeleton ${OBJECT} name ${NAME}
  OUTPUT_VARIABLE text
  RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "bpftool could not make a skeleton of ${OBJECT}")
endif()
# Generated, so not held to our checks.
file(WRITE ${OUTPUT} "/* NOLINTBEGIN */\n${text}\n/* NOLINTEND */\n")
