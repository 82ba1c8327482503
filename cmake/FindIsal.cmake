# Finds ISA-L, the compressor for x86-64 and arm64. Where it is missing zlib does all; WEFT_ISAL=OFF leaves it out.
#
#   Isal_FOUND
#   Isal_INCLUDE_DIR   where isa-l.h is
#   Isal_LIBRARY
option(WEFT_ISAL "Compress with ISA-L where it is installed" ON)
if(WEFT_ISAL)
    find_path(Isal_INCLUDE_DIR NAMES isa-l.h)
    find_library(Isal_LIBRARY NAMES isal)
    mark_as_advanced(Isal_INCLUDE_DIR Isal_LIBRARY)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Isal REQUIRED_VARS Isal_LIBRARY Isal_INCLUDE_DIR)
if(NOT WEFT_ISAL)
    set(Isal_FOUND FALSE)
endif()
