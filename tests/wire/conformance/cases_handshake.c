#include "case.h"

void cases_handshake(suite *s) {
    (void)s;
}
