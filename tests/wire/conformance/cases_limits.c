#include "case.h"

void cases_limits(suite *s) {
    (void)s;
}
