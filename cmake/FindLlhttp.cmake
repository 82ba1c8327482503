# Finds llhttp, the HTTP/1.1 parser: a library of the system, or the C sources that Debian ships in node-llhttp.
#
#   Llhttp_FOUND
#   Llhttp_INCLUDE_DIR   where llhttp.h is
#   Llhttp_LIBRARY       the system's library; or else
#   Llhttp_SOURCES       the C files to compile
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
    pkg_check_modules(PC_LLHTTP QUIET libllhttp)
endif()
find_library(Llhttp_LIBRARY NAMES llhttp HINTS ${PC_LLHTTP_LIBRARY_DIRS})
find_path(Llhttp_SOURCE_DIR NAMES llhttp.c PATHS /usr/share/llhttp /usr/local/share/llhttp NO_DEFAULT_PATH)
find_path(Llhttp_INCLUDE_DIR NAMES llhttp.h
    HINTS ${PC_LLHTTP_INCLUDE_DIRS}
    PATHS /usr/share/include/llhttp /usr/local/share/include/llhttp)
mark_as_advanced(Llhttp_LIBRARY Llhttp_SOURCE_DIR Llhttp_INCLUDE_DIR)

set(Llhttp_SOURCES)
set(Llhttp_FROM "${Llhttp_LIBRARY}")
if(NOT Llhttp_LIBRARY AND Llhttp_SOURCE_DIR)
    set(Llhttp_SOURCES
        "${Llhttp_SOURCE_DIR}/api.c"
        "${Llhttp_SOURCE_DIR}/http.c"
        "${Llhttp_SOURCE_DIR}/llhttp.c")
    set(Llhttp_FROM "${Llhttp_SOURCES}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Llhttp
    REQUIRED_VARS Llhttp_FROM Llhttp_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "llhttp is installed neither as a library nor as sources. On Debian or Ubuntu: \
apt install libllhttp-dev, or where that does not exist, apt install node-llhttp.")
