/* chain: make one step wait for the one before, as a lone caller would.
 *
 * A processor overlaps what does not depend on each other: loops of lookups, or of loads, would
 * then show throughput where latency is asked for. Used by hit_loop, floor and the table baseline
 * alike.
 */
#ifndef CISTERN_BENCH_CHAIN_H
#define CISTERN_BENCH_CHAIN_H

#include <stdint.h>

/* 0, but known only once `value` is: the compiler cannot see through it, nor can the processor. */
static inline uint64_t chain_zero(uint64_t value)
{
    uint64_t mask = 0;
    __asm__ volatile("" : "+r"(mask));
    return value & mask;
}

#endif
