# Finds liburing, for the loop over io_uring. Where it is missing there is epoll alone; WEFT_IO_URING=OFF leaves it out.
#
#   Uring_FOUND
#   Uring_INCLUDE_DIR   where liburing.h is
#   Uring_LIBRARY
option(WEFT_IO_URING "Build the loop over io_uring where liburing is installed" ON)
if(WEFT_IO_URING)
    find_path(Uring_INCLUDE_DIR NAMES liburing.h)
    find_library(Uring_LIBRARY NAMES uring)
    mark_as_advanced(Uring_INCLUDE_DIR Uring_LIBRARY)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Uring REQUIRED_VARS Uring_LIBRARY Uring_INCLUDE_DIR)
if(NOT WEFT_IO_URING)
    set(Uring_FOUND FALSE)
endif()
