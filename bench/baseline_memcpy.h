/* baseline_memcpy: plain copies between two large sets, the baseline beside put and get. */
#ifndef CISTERN_BENCH_BASELINE_MEMCPY_H
#define CISTERN_BENCH_BASELINE_MEMCPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory cut into blocks. All pages are touched: first touches cost more than any copy. */
struct baseline_memcpy_set {
    unsigned char *data; /* mapped */
    uint64_t bytes;
    uint64_t block_bytes;
    uint64_t blocks;
};

/* `shared`: a memfd mapped shared, as the pool is; else private memory, as a caller's buffer is. */
bool baseline_memcpy_open(
    struct baseline_memcpy_set *out_set, uint64_t bytes, uint64_t block_bytes, bool shared);
void baseline_memcpy_close(struct baseline_memcpy_set *set);

/* Cut it into blocks of another size. */
static inline void baseline_memcpy_cut(struct baseline_memcpy_set *set, uint64_t block_bytes)
{
    set->block_bytes = block_bytes;
    set->blocks = set->bytes / block_bytes;
}

static inline unsigned char *baseline_memcpy_block(
    const struct baseline_memcpy_set *set, uint64_t number)
{
    return set->data + number % set->blocks * set->block_bytes;
}

/* Nanoseconds to copy `count` blocks: numbers `from[i]` of `source` to numbers `to[i]` of
 * `target`. */
double baseline_memcpy_ns(const struct baseline_memcpy_set *source, const uint64_t *from,
    const struct baseline_memcpy_set *target, const uint64_t *to, size_t count);

#endif
