/* race: one server thread and several reader threads over a small index, through the headers of
 * shm.
 *
 * Used by test_pin_race (one mapping for all) and test_pin_race_apart (each side its own). The
 * payload is plain memory, so ThreadSanitizer sees an overlap as a race, and any build sees a
 * block whose bytes are not those of its key. Readers hand some pins to each other, to be dropped
 * there.
 */
#ifndef CISTERN_TESTS_STRESS_RACE_H
#define CISTERN_TESTS_STRESS_RACE_H

#include "shm/hint.h"
#include "shm/pin.h"
#include "shm/slot.h"

#include <stdbool.h>
#include <stdint.h>

#define RACE_SLOTS 16u
#define RACE_KEYS 24u
#define RACE_BUCKETS 16u
#define RACE_WORDS 32u /* of payload in a slot */
#define RACE_READERS 2u
#define RACE_RECORDS 96u /* more than PIN_HIGH_KEPT, so that the mark sinks at times */
#define RACE_BATCH 4u
#ifdef CISTERN_TSAN
#define RACE_LOOKUPS 150000u /* of each reader */
#else
#define RACE_LOOKUPS 1000000u
#endif

/* What the server writes: index and pool. */
struct race_index {
    struct index_header header;
    struct hint_bucket hints[RACE_BUCKETS];
    struct slot_line lines[RACE_SLOTS];
    uint64_t payload[RACE_SLOTS][RACE_WORDS];
};

/* What reader i writes. */
struct race_lane {
    _Alignas(64) _Atomic uint32_t high;
    _Alignas(64) _Atomic uint32_t records[RACE_RECORDS];
};

/* A pin on its way from one reader to the other. Not shared between processes. */
struct race_gift {
    _Alignas(64) _Atomic uint32_t full;
    uint32_t slot;
    uint32_t number;
    _Atomic uint32_t *record;
};

/* One side's addresses of the two memories. */
struct race_side {
    struct race_index *index;
    struct race_lane *lanes;
};

struct race_outcome {
    uint64_t hits;
    uint64_t misses;
    uint64_t retries;
    uint64_t wrong; /* payload words that are not their key's: must be 0 */
    uint64_t evictions;
    uint64_t pinned; /* victims put back */
    uint64_t wild; /* records that name no slot: must be 0 */
};

/* Run the race: `server` and `readers` address the same memory, zeroed before. */
struct race_outcome race_run(
    const struct race_side *server, const struct race_side *readers, uint64_t seed);

#endif
