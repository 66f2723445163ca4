/* scenario_get: cistern_get() of 64 KiB to 2 MiB, random blocks of a pool three quarters full. */
#include "bench/copy_table.h"
#include "bench/scenario.h"

bool scenario_get(const struct options *options, struct report *report)
{
    return copy_table(options, COPY_GET, report);
}
