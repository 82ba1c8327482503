#include "ws/zip_impl.h"

/* WF_HAVE_ISAL is 1 where the build has found ISA-L, else 0. */
static const wf_compressor *const compressors[] = {
#if WF_HAVE_ISAL
    &wf_zip_isal_compressor,
#endif
    &wf_zip_zlib_compressor,
};

static const wf_decompressor *const decompressors[] = {
    &wf_zip_zlib_decompressor,
#if WF_HAVE_ISAL
    &wf_zip_isal_decompressor,
#endif
};

const wf_compressor *wf_zip_compressors(size_t index) {
    return index < sizeof compressors / sizeof *compressors ? compressors[index] : NULL;
}

const wf_decompressor *wf_zip_decompressors(size_t index) {
    return index < sizeof decompressors / sizeof *decompressors ? decompressors[index] : NULL;
}
