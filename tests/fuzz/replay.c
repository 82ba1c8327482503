/*
 * A harness without libFuzzer: runs it over files, and over all files of folders. So every build keeps what fuzzing
 * once found as a regression test.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static size_t inputs;

static void run_file(const char *path, FILE *file) {
    static uint8_t bytes[1 << 20];
    size_t len = fread(bytes, 1, sizeof bytes, file);
    CHECK(!ferror(file) && len < sizeof bytes);
    test_context("%s", path);
    uint8_t *exact = fuzz_exact(bytes, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    inputs++;
}

static void run_path(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) {
        FILE *file = fopen(path, "rb");
        if (!file)
            test_fail(__FILE__, __LINE__, "cannot read %s", path);
        run_file(path, file);
        fclose(file);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        char inside[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        run_path(inside);
    }
    closedir(dir);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%zu inputs\n", inputs);
    return inputs == 0;
}
