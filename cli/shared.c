#include "cli/shared.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const cli_color_choices[] = {"auto", "always", "never", NULL};

bool cli_colors(int color, int descriptor) {
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    if (color != CLI_COLOR_AUTO)
        return color == CLI_COLOR_ALWAYS;
    return isatty(descriptor) && !(no_color && no_color[0]) && term && term[0] && strcmp(term, "dumb") != 0;
}

void cli_tls_environment(weft_tls_client *tls) {
    const char *file = getenv("SSLKEYLOGFILE");
    tls->keylog_file = file && file[0] ? file : NULL;
}
