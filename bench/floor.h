/* floor: what the machine itself needs, measured in the same run and mapped in the same way.
 *
 * Called by the scenarios; their figures are divided by these. The tables imitate the index:
 * 64-byte lines of a memfd in 4 KiB pages, a hint table of twice as many 8-byte words as slots (a
 * power of two of lines), and one line a slot.
 */
#ifndef CISTERN_BENCH_FLOOR_H
#define CISTERN_BENCH_FLOOR_H

#include "bench/pin_cpu.h"
#include "bench/stats.h"
#include <cistern.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOOR_LINE_WORDS 8u
#define FLOOR_BATCH 64u

struct floor_tables {
    uint64_t *hints; /* mapped */
    uint64_t *slots; /* behind the hints, in the same mapping */
    uint64_t hint_lines; /* a power of two */
    uint64_t slot_lines;
    size_t mapped_bytes;
};

/* Tables as large as an index of `slots` slots, all pages touched. Returns false if there is no
 * room. */
bool floor_tables_open(struct floor_tables *out_tables, uint64_t slots);
void floor_tables_close(struct floor_tables *tables);

/* Nanoseconds for `count` keys, each two loads, every load dependent on the one before it. */
double floor_dependent_ns(
    const struct floor_tables *tables, const struct cistern_key *keys, size_t count);

/* Nanoseconds for FLOOR_BATCH keys: that many independent loads in flight, twice. */
double floor_independent_ns(const struct floor_tables *tables, const struct cistern_key *keys);

/* Microseconds from a write to an eventfd until the process that sleeps on it, on the server's
 * core, has stored one word that we see: `count` samples, `gap_ns` apart. False where it cannot
 * run. */
bool floor_wake_us(
    const struct pin_cpu_plan *plan, size_t count, int64_t gap_ns, struct stats *out_samples);

/* Microseconds one way between two spinning processes: half a round trip over two cache lines.
 * False with one core. */
bool floor_ping_us(const struct pin_cpu_plan *plan, size_t count, struct stats *out_samples);

#endif
