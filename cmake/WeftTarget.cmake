# weft_target(NAME): language, warnings, hardening and sanitizers for one target of our own. All of it PRIVATE:
# whoever links weft::weft sees none of these flags.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)

set(weft_warnings
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wundef)

set(weft_hardening)
if(WEFT_HARDEN AND NOT WEFT_SANITIZE AND NOT CMAKE_C_FLAGS MATCHES "-fsanitize")
    foreach(flag IN ITEMS -fstack-protector-strong -fstack-clash-protection -fcf-protection)
        string(MAKE_C_IDENTIFIER "WEFT_HAS${flag}" has)
        check_c_compiler_flag("-Werror ${flag}" ${has})
        if(${has})
            list(APPEND weft_hardening ${flag})
        endif()
    endforeach()
    # A C library that does not know level 3 says so in a warning.
    set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
    check_c_source_compiles("#include <string.h>\nint main(void) { return 0; }" WEFT_HAS_FORTIFY_3)
    unset(CMAKE_REQUIRED_FLAGS)
    set(weft_fortify_level 2)
    if(WEFT_HAS_FORTIFY_3)
        set(weft_fortify_level 3)
    endif()
    list(APPEND weft_hardening -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${weft_fortify_level})
endif()

if(PROJECT_IS_TOP_LEVEL)
    include(CheckPIESupported)
    check_pie_supported(LANGUAGES C)
endif()

function(weft_target name)
    set_target_properties(${name} PROPERTIES
        C_STANDARD 11
        C_STANDARD_REQUIRED ON
        C_EXTENSIONS ON
        C_VISIBILITY_PRESET hidden
        POSITION_INDEPENDENT_CODE ON)
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
    target_compile_options(${name} PRIVATE "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:${weft_hardening}>")
    if(PROJECT_IS_TOP_LEVEL)
        target_compile_options(${name} PRIVATE ${weft_warnings})
    endif()
    if(WEFT_WERROR)
        target_compile_options(${name} PRIVATE -Werror)
    endif()
    if(WEFT_SANITIZE)
        target_compile_options(${name} PRIVATE
            -fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    endif()
    if(WEFT_BUILD_FUZZERS)
        target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    if(WEFT_COVERAGE)
        target_compile_options(${name} PRIVATE
            -fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation)
    endif()

    get_target_property(type ${name} TYPE)
    if(type STREQUAL "EXECUTABLE" OR type STREQUAL "SHARED_LIBRARY")
        if(WEFT_HARDEN)
            target_link_options(${name} PRIVATE -Wl,-z,relro,-z,now,-z,noexecstack)
        endif()
        if(WEFT_SANITIZE)
            target_link_options(${name} PRIVATE -fsanitize=${WEFT_SANITIZE})
        endif()
        if(WEFT_COVERAGE)
            target_link_options(${name} PRIVATE -fprofile-instr-generate)
        endif()
    endif()
endfunction()
