#include "case.h"

void cases_control(suite *s) {
    (void)s;
}
