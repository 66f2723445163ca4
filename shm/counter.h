/* counter: what the server counts, in words that any tool may read while it runs.
 *
 * The table is counter.def; the words lie in the index header, written by the server alone.
 */
#ifndef CISTERN_SHM_COUNTER_H
#define CISTERN_SHM_COUNTER_H

#include "shm/atomic.h"

#include <stddef.h>
#include <stdint.h>

#define COUNTER_ROOM 96 /* words kept for counters; the ABI's room to grow */

enum counter {
#define COUNTER(name, unit, what) COUNTER_##name,
#include "shm/counter.def"
#undef COUNTER
    COUNTER_COUNT
};

static_assert((int)COUNTER_COUNT <= COUNTER_ROOM, "counters fit in the header");

/* Add to a counter that this process alone writes. */
static inline void counter_add(_Atomic uint64_t *counters, enum counter which, uint64_t amount)
{
    _Atomic uint64_t *word = &counters[which];
    shared64_store_relaxed(word, shared64_load_relaxed(word) + amount);
}

/* Set a counter of things that come and go. */
static inline void counter_set(_Atomic uint64_t *counters, enum counter which, uint64_t value)
{
    shared64_store_relaxed(&counters[which], value);
}

static inline uint64_t counter_get(const _Atomic uint64_t *counters, enum counter which)
{
    return shared64_load_relaxed(&counters[which]);
}

/* Name, unit and sentence of a counter; `which` below COUNTER_COUNT. */
const char *counter_name(enum counter which);
const char *counter_unit(enum counter which);
const char *counter_what(enum counter which);

#endif
