#include "case.h"

void cases_fragments(suite *s) {
    (void)s;
}
