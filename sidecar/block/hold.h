/* hold: the server's own pins: blocks that must stay though no lane names them yet.
 *
 * Called by block/fetch (a block that was brought up stays until the client that asked for it can
 * pin it), block/spill (the bytes stay while a tier reads them), session/touch, and the loop
 * (tick). evict asks hold_is() before it marks a victim: a held one counts as pinned. Always: a
 * held slot is VALID, every hold of a client ends by its touch, its time, or the end of its
 * session, and every hold of a copy by the copy's end.
 *
 * A touch ends a hold safely: the client wrote its pin record before the touch (release), and the
 * server read the touch (acquire) before it lets go; so a later sweep finds the record.
 */
#ifndef CISTERN_SIDECAR_BLOCK_HOLD_H
#define CISTERN_SIDECAR_BLOCK_HOLD_H

#include "shm/counter.h"
#include "sidecar/block/arena.h"
#include "sidecar/block/deadline.h"

#include <stdbool.h>
#include <stdint.h>

#define HOLD_END UINT32_MAX
#define HOLD_TICK_MAX 1024u /* holds that end in one tick */

struct hold_entry {
    uint32_t slot;
    uint32_t session; /* its place; that of a copy: sessions_max */
    uint32_t next; /* of its slot; or free */
    uint32_t before; /* of its session */
    uint32_t after;
};

struct hold_session {
    uint32_t first;
    uint32_t count;
};

struct holds {
    struct hold_entry *entries;
    uint32_t *of_slot; /* the first hold of each slot */
    struct hold_session *sessions; /* and one more: the copies */
    uint32_t sessions_max;
    uint32_t free;
    uint32_t count;
    struct deadlines deadlines; /* by entry */
    _Atomic uint64_t *counters;
};

/* Called by blocks_open(): at most `holds_max` at one time. */
uint64_t hold_arena_bytes(uint32_t holds_max, uint32_t slots, uint32_t sessions_max);
void hold_open(struct holds *holds, uint32_t holds_max, uint32_t slots, uint32_t sessions_max,
    _Atomic uint64_t *counters, struct arena *arena);

/* Keep a VALID slot for a session until then; a second time: until then instead. Returns false if
 * there are too many holds. */
bool hold_take(struct holds *holds, uint32_t slot, uint32_t session, uint64_t until_ns);

/* Keep a VALID slot while it is copied, and let go. Returns false if there are too many holds. */
bool hold_copy(struct holds *holds, uint32_t slot);
void hold_copied(struct holds *holds, uint32_t slot);

bool hold_copying(const struct holds *holds, uint32_t slot);

/* The session touched the slot. */
void hold_touched(struct holds *holds, uint32_t slot, uint32_t session);

/* The session is no more. Cost: its holds. */
void hold_drop(struct holds *holds, uint32_t session);

/* End what is due. Returns the next deadline, UINT64_MAX for none; not later than now: call again
 * soon. */
uint64_t hold_tick(struct holds *holds, uint64_t now_ns);

static inline bool hold_is(const struct holds *holds, uint32_t slot)
{
    /* Nearly always nothing is held: then a victim costs no line of its own. */
    return holds->count > 0 && holds->of_slot[slot] != HOLD_END;
}

/* Slots held for a session. */
static inline uint32_t hold_count(const struct holds *holds, uint32_t session)
{
    return holds->sessions[session].count;
}

#endif
