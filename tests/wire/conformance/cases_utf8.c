#include "case.h"

void cases_utf8(suite *s) {
    (void)s;
}
