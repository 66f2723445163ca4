/* ledger: what a successor must know of each slot that its descriptor does not say.
 *
 *   ┌ 0 ─ head ─┬ 4096 ─ a word an extent ─┬─ two words a slot ──────────────────────┐
 *   │ sizes     │ class + 1                │ touch: serial 63 │ used again 1         │
 *   └───────────┴──────────────────────────┤ link:  lent 1 │ parent slot 31 │ number 32│
 *                                          └─────────────────────────────────────────┘
 *
 * A segment of the server's own, held by the keeper; clients never see it. Written by pool, admit
 * and the session layer on the server's loop, read by adopt in the next server. The link is, of a
 * lent slot, who has it, and of a block, its parent and that one's generation then. Always: each
 * word is whole by itself, and a death between two stores leaves nothing worse than a wrong age or
 * a forgotten parent. Without a keeper there is no ledger, and every call does nothing.
 */
#ifndef CISTERN_SIDECAR_BLOCK_LEDGER_H
#define CISTERN_SIDECAR_BLOCK_LEDGER_H

#include "shm/atomic.h"
#include "shm/layout.h"

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_NONE UINT32_MAX
#define LEDGER_LENT (UINT64_C(1) << 63)

struct ledger_head {
    uint64_t magic;
    uint32_t version;
    uint32_t slots;
    uint64_t extents;
    _Atomic uint64_t sessions; /* the last session number given */
};

struct ledger_entry {
    _Atomic uint64_t touch;
    _Atomic uint64_t link;
};

static_assert(sizeof(struct ledger_entry) == 16, "four slots a line");

/* A mapped ledger. Owned by struct blocks; the memory is the server's. */
struct ledger {
    struct ledger_head *head;
    _Atomic uint64_t *classes; /* one an extent */
    struct ledger_entry *entries; /* one a slot; NULL: no ledger is kept */
    uint64_t serial; /* of the last touch */
};

uint64_t ledger_bytes(uint32_t slots, uint64_t extents);

/* Write the head of a fresh, zeroed ledger. */
void ledger_init(void *base, uint32_t slots, uint64_t extents);

/* Find the parts of a ledger of `bytes` that has so many slots and extents; `base` NULL: none.
 * Returns 0, or STATUS_MALFORMED if it is not such a ledger. */
int ledger_view(
    void *base, uint64_t bytes, uint32_t slots, uint64_t extents, struct ledger *out_ledger);

/* A block came into the slot, or was used (`again`). */
static inline void ledger_touch(struct ledger *ledger, uint32_t slot, bool again)
{
    if (ledger->entries != NULL) {
        uint64_t word = ++ledger->serial << 1 | (again ? 1u : 0u);
        shared64_store_relaxed(&ledger->entries[slot].touch, word);
    }
}

/* The slot is lent to this session. */
static inline void ledger_lend(struct ledger *ledger, uint32_t slot, uint32_t session)
{
    if (ledger->entries != NULL) {
        shared64_store_relaxed(&ledger->entries[slot].link, LEDGER_LENT | session);
    }
}

/* The block in the slot follows the one in `parent`, of this generation; LEDGER_NONE: none. */
static inline void ledger_follow(
    struct ledger *ledger, uint32_t slot, uint32_t parent, uint64_t generation)
{
    if (ledger->entries != NULL) {
        uint64_t word =
            parent == LEDGER_NONE ? 0 : (uint64_t)(parent + 1) << 32 | (generation & UINT32_MAX);
        shared64_store_relaxed(&ledger->entries[slot].link, word);
    }
}

/* The extent belongs to `class`; before any of its slots is used. */
static inline void ledger_class(struct ledger *ledger, uint32_t extent, uint32_t class)
{
    if (ledger->entries != NULL) {
        shared64_store_relaxed(&ledger->classes[extent], (uint64_t) class + 1);
        /* A successor that finds a slot in use finds its class, too. */
        shared_fence_release();
    }
}

/* The last session number given out, kept across servers. */
static inline void ledger_session(struct ledger *ledger, uint32_t number)
{
    if (ledger->entries != NULL) {
        shared64_store_relaxed(&ledger->head->sessions, number);
    }
}

/* What the successor reads; only of a ledger that is kept. */

static inline uint64_t ledger_serial_of(const struct ledger *ledger, uint32_t slot)
{
    return shared64_load_relaxed(&ledger->entries[slot].touch) >> 1;
}

static inline bool ledger_again_of(const struct ledger *ledger, uint32_t slot)
{
    return (shared64_load_relaxed(&ledger->entries[slot].touch) & 1) != 0;
}

/* Who had a lent slot; 0: not known. */
static inline uint32_t ledger_borrower_of(const struct ledger *ledger, uint32_t slot)
{
    uint64_t word = shared64_load_relaxed(&ledger->entries[slot].link);
    return (word & LEDGER_LENT) != 0 ? (uint32_t)word : 0;
}

/* The slot of a block's parent, and the low half of that one's generation; LEDGER_NONE: none. */
static inline uint32_t ledger_parent_of(
    const struct ledger *ledger, uint32_t slot, uint32_t *out_generation)
{
    uint64_t word = shared64_load_relaxed(&ledger->entries[slot].link);
    if ((word & LEDGER_LENT) != 0 || word >> 32 == 0) {
        return LEDGER_NONE;
    }
    *out_generation = (uint32_t)word;
    return (uint32_t)(word >> 32) - 1;
}

/* The class of an extent, or LEDGER_NONE. */
static inline uint32_t ledger_class_of(const struct ledger *ledger, uint32_t extent)
{
    return (uint32_t)shared64_load_relaxed(&ledger->classes[extent]) - 1;
}

#endif
