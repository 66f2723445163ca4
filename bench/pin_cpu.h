/* pin_cpu: which core runs what. A measurement between two processes needs each on its own core. */
#ifndef CISTERN_BENCH_PIN_CPU_H
#define CISTERN_BENCH_PIN_CPU_H

#include "bench/options.h"

#include <stdbool.h>

#define PIN_CPU_MAX 256

/* The cores of a run. -1: the kernel chooses. */
struct pin_cpu_plan {
    int cores[PIN_CPU_MAX]; /* those that this process may use */
    int count;
    int server;
    int client;
    int second; /* another client's; -1 unless there are three cores or more */
};

/* Choose from the cores that this process may use: the server gets the first one, the client the
 * last one, a second client the one before. With one core nothing is pinned. */
void pin_cpu_plan(const struct options *options, struct pin_cpu_plan *out_plan);

/* Keep the calling process on `core`; -1 does nothing. Returns false if the kernel refuses. */
bool pin_cpu(int core);

/* Use all cores of the plan again. A handle should be opened in this state: the library looks once
 * whether it may spin. */
bool pin_cpu_free(const struct pin_cpu_plan *plan);

#endif
