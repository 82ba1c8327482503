#include "case.h"

void cases_close(suite *s) {
    (void)s;
}
