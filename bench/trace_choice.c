/* trace_choice: see the header. */
#include "bench/trace_choice.h"

#include <stdlib.h>
#include <unistd.h>

const char *trace_choice(const char *given)
{
    static const char beside[] = BENCH_SOURCE_ROOT "/../shared/traces/agent";
    const char *named = getenv("CISTERN_TRACES");
    if (given != NULL) {
        return given;
    }
    if (named != NULL && *named != '\0') {
        return named;
    }
    return access(beside, R_OK) == 0 ? beside : BENCH_SOURCE_ROOT "/bench/traces/small.jsonl";
}
