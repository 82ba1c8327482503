# weft_embed_files(OUT.c FILE...): at build time writes OUT.c, the table app_pages of app/pages.h with the content of the
# files. The path of a file is "/" and its name, "/" alone for index.html; its etag is a hash of the content.
#
# This file is both halves: included, it defines the function; run as a script, it writes the table.

if(NOT CMAKE_SCRIPT_MODE_FILE)
    set(weft_embed_script "${CMAKE_CURRENT_LIST_FILE}")

    function(weft_embed_files out)
        set(files ${ARGN})
        list(TRANSFORM files PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" REGEX "^[^/]")
        add_custom_command(
            OUTPUT "${out}"
            COMMAND "${CMAKE_COMMAND}" "-DOUT=${out}" "-DFILES=${files}" -P "${weft_embed_script}"
            DEPENDS ${files} "${weft_embed_script}"
            COMMENT "Embedding the pages"
            VERBATIM)
    endfunction()
    return()
endif()

set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_mjs "text/javascript; charset=utf-8")
set(type_txt "text/plain; charset=utf-8")
set(type_json "application/json")
set(type_webmanifest "application/manifest+json")
set(type_svg "image/svg+xml")
set(type_png "image/png")
set(type_ico "image/x-icon")
set(type_woff2 "font/woff2")

set(arrays "")
set(rows "")
set(index 0)
foreach(file IN LISTS FILES)
    get_filename_component(name "${file}" NAME)
    get_filename_component(extension "${file}" LAST_EXT)
    string(SUBSTRING "${extension}" 1 -1 extension)
    if(NOT DEFINED type_${extension})
        message(FATAL_ERROR "${file}: no content type is known for .${extension}")
    endif()
    set(path "/${name}")
    if(name STREQUAL "index.html")
        set(path "/")
    endif()

    file(SIZE "${file}" len)
    file(SHA256 "${file}" hash)
    string(SUBSTRING "${hash}" 0 16 hash)
    file(READ "${file}" content HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," content "${content}")
    string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)"
        "\\1\n" content "${content}")
    # The closing zero keeps an empty file legal C; it is not counted.
    string(APPEND arrays "static const unsigned char page_${index}[] = {\n${content}0};\n\n")
    string(APPEND rows "    {\"${path}\", \"${type_${extension}}\", \"\\\"${hash}\\\"\", page_${index}, ${len}},\n")
    math(EXPR index "${index} + 1")
endforeach()

file(WRITE "${OUT}.new"
    "/* Written by cmake/EmbedFiles.cmake from the files of web/. */\n#include \"app/pages.h\"\n\n${arrays}"
    "const app_page app_pages[] = {\n${rows}};\nconst size_t app_page_count = ${index};\n")
file(RENAME "${OUT}.new" "${OUT}")
