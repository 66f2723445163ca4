/* report: one run's result: a JSON object for programs, and the stream where people read.
 *
 * Made by main, filled by the scenario. Always: with `--json -` standard output carries the object
 * alone, and people read on standard error.
 */
#ifndef CISTERN_BENCH_REPORT_H
#define CISTERN_BENCH_REPORT_H

#include "bench/options.h"
#include "bench/pin_cpu.h"
#include "bench/stats.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

struct report {
    cJSON *root; /* owned */
    FILE *people;
};

/* Returns false if there is no memory. Writes what is known beforehand: machine, commit,
 * settings. */
bool report_open(const struct options *options, struct report *out_report);

/* Write the object where --json says, if it says. Returns false after a line on stderr. */
bool report_write(const struct report *report, const char *json_path);

void report_close(struct report *report);

/* Numbers keep four significant digits behind the point at most: more would be noise. */
void report_number(cJSON *object, const char *key, double value);
void report_text(cJSON *object, const char *key, const char *text);
void report_null(cJSON *object, const char *key);

/* A new object under `key`, owned by its parent. */
cJSON *report_object(cJSON *object, const char *key);

/* median, min, max and count of runs, as an object under `key`. */
void report_runs(cJSON *object, const char *key, struct stats *runs);

/* Say which core does what, for people and in the JSON. */
void report_cores(const struct report *report, const struct pin_cpu_plan *plan);

#endif
