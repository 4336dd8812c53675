# Run before each build: writes FILE, the commit that is built, where it has changed. A copy without git has none.
cmake_minimum_required(VERSION 3.24)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed OR NOT EXISTS ${SOURCE}/.git)
  set(commit "")
endif()
file(CONFIGURE OUTPUT ${FILE} CONTENT "#pragma once\n#define RERANKD_COMMIT \"@commit@\"\n" @ONLY)
