/* ask URL TEXT - sends a text and prints what comes back. */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

int main(int argc, char **argv) {
    enum { PATIENCE_MS = 5000 };
    weft_message answer;
    weft_blocking *ws = weft_blocking_new(NULL);
    if (argc != 3 || !ws)
        return 2;
    int got = weft_blocking_connect(ws, argv[1], PATIENCE_MS);
    if (got == WEFT_OK)
        got = weft_blocking_send(ws, WEFT_TEXT, argv[2], strlen(argv[2]), PATIENCE_MS);
    if (got == WEFT_OK)
        got = weft_blocking_receive(ws, &answer, PATIENCE_MS);
    if (got == WEFT_OK)
        printf("%.*s\n", (int)answer.len, (const char *)answer.data);
    else
        fprintf(stderr, "%s\n", weft_blocking_error(ws));
    weft_blocking_close(ws, WEFT_CLOSE_NORMAL, NULL, PATIENCE_MS);
    weft_blocking_free(ws);
    return got != WEFT_OK;
}
