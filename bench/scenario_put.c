/* scenario_put: cistern_put() of 64 KiB to 2 MiB, a full pool, new keys: every put also evicts. */
#include "bench/copy_table.h"
#include "bench/scenario.h"

bool scenario_put(const struct options *options, struct report *report)
{
    return copy_table(options, COPY_PUT, report);
}
