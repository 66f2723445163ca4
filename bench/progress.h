/* progress: shows people how far a long run is: a bar on a terminal, a line every tenth
 * elsewhere. */
#ifndef CISTERN_BENCH_PROGRESS_H
#define CISTERN_BENCH_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *to;
    const char *what; /* for instance "requests" */
    uint64_t total;
    int terminal;
    int shown; /* per cent shown last; -1: nothing yet */
};

void progress_start(struct progress *out_progress, FILE *to, const char *what, uint64_t total);
void progress_show(struct progress *progress, uint64_t done);
void progress_done(struct progress *progress);

#endif
