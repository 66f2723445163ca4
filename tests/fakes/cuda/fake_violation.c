/* fake_violation: see fake_violation.h. */
#include "tests/fakes/cuda/fake_violation.h"

#include "tests/fakes/cuda/fake_settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char first[512];
static uint64_t count;

void fake_violation(const char *format, ...)
{
    if (count++ > 0) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(first, sizeof first, format, arguments);
    va_end(arguments);
    if (fake_settings_read()->strict != 0) {
        (void)fprintf(stderr, "cuda_double: %s\n", first);
        abort();
    }
}

uint64_t fake_violation_count(void)
{
    return count;
}

const char *fake_violation_first(void)
{
    return first;
}
