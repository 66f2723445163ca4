/* scenario: what the scenarios share. Each is one file, scenario_<name>.c, called by main.
 *
 * A scenario starts what it needs, measures, prints its table on report->people, adds its keys to
 * report->root, and stops what it started. It returns false after a line on stderr.
 */
#ifndef CISTERN_BENCH_SCENARIO_H
#define CISTERN_BENCH_SCENARIO_H

#include "bench/options.h"
#include "bench/report.h"

#include <stdbool.h>

typedef bool (*scenario_run)(const struct options *options, struct report *report);

bool scenario_hit(const struct options *options, struct report *report);
bool scenario_prefix(const struct options *options, struct report *report);
bool scenario_put(const struct options *options, struct report *report);
bool scenario_get(const struct options *options, struct report *report);
bool scenario_commit(const struct options *options, struct report *report);
bool scenario_scale(const struct options *options, struct report *report);
bool scenario_server(const struct options *options, struct report *report);
bool scenario_reuse(const struct options *options, struct report *report);
bool scenario_codec(const struct options *options, struct report *report);
bool scenario_policy(const struct options *options, struct report *report);
bool scenario_nvme(const struct options *options, struct report *report);
bool scenario_gpu(const struct options *options, struct report *report);
bool scenario_engine(const struct options *options, struct report *report);
bool scenario_restart(const struct options *options, struct report *report);

#endif
