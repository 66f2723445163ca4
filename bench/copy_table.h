/* copy_table: all sizes of put or get, as a table and as JSON. */
#ifndef CISTERN_BENCH_COPY_TABLE_H
#define CISTERN_BENCH_COPY_TABLE_H

#include "bench/copy_run.h"
#include "bench/report.h"

#include <stdbool.h>

/* Measure and print. Returns false after a line on stderr. */
bool copy_table(
    const struct options *options, enum copy_direction direction, struct report *report);

#endif
