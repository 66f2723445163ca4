/* malloc_count: how many memory allocations this program made, libcistern's included.
 *
 * malloc, calloc, realloc and the aligned ones are defined here, in front of the C library's, so
 * every call of the process passes; under a sanitizer its own hook counts instead. Used by
 * scenario_hit to show that a hit allocates nothing.
 */
#ifndef CISTERN_BENCH_MALLOC_COUNT_H
#define CISTERN_BENCH_MALLOC_COUNT_H

#include <stdint.h>

#define MALLOC_COUNT_HOW "every allocation call of the process passes a counter in front of libc"

uint64_t malloc_count(void);

#endif
