/*
 * zip_impl.h - what the files of the libraries share: zip.c chooses, zip_zlib.c and zip_isal.c are chosen from.
 */
#ifndef WF_WS_ZIP_IMPL_H
#define WF_WS_ZIP_IMPL_H

#include "ws/zip.h"

/* 00 00 ff ff, the end of an empty stored block. */
enum { WF_ZIP_TAIL_BYTES = 4 };

/* More than the libraries can count is given to them in parts. */
static inline uint32_t wf_zip_part(size_t len) {
    return len < UINT32_MAX ? (uint32_t)len : UINT32_MAX;
}

extern const wf_compressor wf_zip_zlib_compressor, wf_zip_isal_compressor;
extern const wf_decompressor wf_zip_zlib_decompressor, wf_zip_isal_decompressor;

#endif
