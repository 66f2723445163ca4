/* sizes: the cache sizes that were asked for. Called by scenario_policy. */
#ifndef CISTERN_BENCH_POLICY_SIZES_H
#define CISTERN_BENCH_POLICY_SIZES_H

#include <stdbool.h>
#include <stdint.h>

#define SIZES_MAX 32u
#define SIZES_TEXT_BYTES 24u

/* A number of blocks, or a share of a trace's blocks. */
struct size {
    char text[SIZES_TEXT_BYTES]; /* as it was written */
    double number;
    bool percent;
};

struct sizes {
    struct size items[SIZES_MAX];
    uint32_t count;
};

/* "1%,0.5%,2000": numbers above 0 with commas between. Returns false after a line on stderr. */
bool sizes_parse(const char *text, struct sizes *out_sizes);

/* In blocks, rounded down, at least 1. */
uint32_t sizes_blocks(const struct size *size, uint64_t unique);

#endif
