#include "case.h"

void cases_deflate(suite *s) {
    (void)s;
}
