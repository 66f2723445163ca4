/* hit: find blocks in the index, pin them, believe them.
 *
 * cistern_acquire() is here; libclient/get pins its one block the same way. R numbers the steps
 * of ordering 2 (shm/README.md). Always: a view leaves this file only after its pin was written,
 * the fence passed, and the descriptor read after it said VALID and held the key.
 */
#ifndef CISTERN_LIBCLIENT_HIT_H
#define CISTERN_LIBCLIENT_HIT_H

#include "libclient/core.h"
#include "shm/slot.h"

#include <string.h>

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

/* One pinned block. */
struct hit {
    uint32_t slot;
    uint32_t record; /* of this thread's pins */
    uint64_t state; /* the descriptor's, when it was believed */
    struct slot_content place; /* all but the key; inside the mapped pool */
};

/* Callers' keys have no alignment. */
static inline struct key hit_key(const struct cistern_key *key)
{
    struct key copy;
    memcpy(&copy, key->bytes, sizeof copy);
    return copy;
}

/* Pin one block. Returns 0, STATUS_MISS, STATUS_PINS or STATUS_NO_SERVER. */
int hit_pin(
    struct cistern *handle, struct core_seat *seat, const struct key *key, struct hit *out_hit);

#endif
