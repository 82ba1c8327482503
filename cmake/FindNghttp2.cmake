# Finds nghttp2, for HTTP/2.
#
#   Nghttp2_FOUND
#   Nghttp2_INCLUDE_DIR   where nghttp2/nghttp2.h is
#   Nghttp2_LIBRARY
find_path(Nghttp2_INCLUDE_DIR NAMES nghttp2/nghttp2.h)
find_library(Nghttp2_LIBRARY NAMES nghttp2)
mark_as_advanced(Nghttp2_INCLUDE_DIR Nghttp2_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Nghttp2 REQUIRED_VARS Nghttp2_LIBRARY Nghttp2_INCLUDE_DIR)
