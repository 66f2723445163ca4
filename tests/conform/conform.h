/* conform: one world for all tiers: a backend, a place, blocks that know their bytes, and a ledger.
 *
 * Used by test_tier (the conformance suite) and by tests/fault/test_tier_model. Always: every byte
 * of every PART and LOADED is compared, every operation ends once, nothing comes that was not asked
 * for; else the test fails there. Waiting is on the tier's own descriptor, so one that forgets to
 * become readable is found out.
 */
#ifndef CISTERN_TESTS_CONFORM_CONFORM_H
#define CISTERN_TESTS_CONFORM_CONFORM_H

#include "sidecar/tier/tier.h"

#include "tests/check.h"
#include "tests/conform/place.h"

#include <stdbool.h>

#define CONFORM_BLOCKS 4096u /* numbers of blocks, from 0 */
#define CONFORM_BLOCK_MOST (UINT64_C(2) << 20)
#define CONFORM_WAIT_NS UINT64_C(20000000000) /* nothing takes so long unless it hangs */
#define CONFORM_NEVER UINT64_MAX

/* One row a backend and a way to open it. */
struct conform_backend {
    const char *name;
    /* Open it, also on what an earlier life left. Returns as tier_file_open() does. */
    int (*open)(
        const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes);
    /* Flip a bit of what is stored of a block, or spoil its second half, under an open tier.
     * Returns false if it is not there. */
    bool (*spoil)(
        const struct conform_place *place, const struct tier_id *id, bool tear, uint64_t random);
    uint64_t too_large_bytes; /* a block of so many bytes never fits */
    bool parts; /* the first parts come before the rest */
    bool sealed;
    bool orders; /* urgent loads overtake those ahead of need */
    bool fault; /* its descriptor may be readable for nothing */
};

/* One kind of backend a file. */
extern const struct conform_backend conform_file[];
extern const uint32_t conform_file_count;
extern const struct conform_backend conform_nvme[];
extern const uint32_t conform_nvme_count;

/* An operation that was accepted. */
struct conform_op {
    uint64_t number;
    void *memory; /* owned until it ended */
    bool is_load;
    bool live;
    bool was_gone; /* a load of a block that had been dropped */
    uint32_t parts;
    uint64_t part_bytes; /* of its last PART */
    int32_t status;
    uint64_t order; /* operations that ended before it */
};

/* What the ledger says of a block. */
struct conform_block {
    uint64_t bytes;
    bool ever; /* it was stored once */
    bool there; /* STORED or FOUND, and not LOST or dropped since */
    bool gone; /* it was dropped in this life, and not stored or found since */
    uint32_t stores; /* under way */
    uint32_t found; /* in this life */
    uint32_t lost;
};

struct conform {
    const struct conform_backend *backend;
    struct conform_place place;
    struct tier *tier;
    uint64_t random;
    struct conform_op *ops; /* owned; a cookie is an index */
    uint64_t op_count;
    uint64_t op_room;
    uint64_t live;
    uint64_t ended;
    uint64_t stored, loaded, stored_bytes, loaded_bytes; /* with OK, in this life */
    bool forgiving; /* faults are on: an operation may end with IO, a block be gone untold */
    struct conform_block blocks[CONFORM_BLOCKS];
};

/* cmocka's setup and teardown; *state is the backend before, the world after. */
int conform_setup(void **state);
int conform_teardown(void **state);

/* For programs of their own. */
void conform_open(struct conform *world, const struct conform_backend *backend, uint64_t seed);
void conform_close(struct conform *world);

/* End this life in order, and begin another one. */
void conform_reopen(struct conform *world);

struct tier_id conform_id(uint64_t number);

/* Bytes of a block, by its number and size: every test can say what it should be. */
void conform_fill(uint64_t number, void *out_data, uint64_t bytes);

/* Start to store; the block's size counts from now on if it was not stored before. Returns what the
 * tier returned. */
int conform_store(struct conform *world, uint64_t number, uint64_t bytes);

/* Start to load. Returns what the tier returned; `*out_op` on PENDING, if it is not NULL. */
struct conform_wish {
    uint64_t room; /* 0: as it needs */
    uint64_t part_bytes;
    uint64_t deadline_ns; /* 0: far away */
    enum tier_urgency urgency;
    bool quick; /* do not touch the memory before: many loads start at about one time */
};
int conform_load(
    struct conform *world, uint64_t number, const struct conform_wish *wish, uint64_t *out_op);

void conform_drop(struct conform *world, uint64_t number);

/* Take what is there, up to `room` events. Returns how many there were. */
uint32_t conform_poll(struct conform *world, uint32_t room);

/* Wait on the descriptor until something comes, and take it; fails the test if nothing does. */
void conform_wait(struct conform *world);

/* Wait until every accepted operation has ended. */
void conform_settle(struct conform *world);

/* Store, waiting while the tier is busy, and until it is stored. Returns the last status. */
int conform_store_now(struct conform *world, uint64_t number, uint64_t bytes);

/* Load, likewise. Returns OK or why not. */
int conform_load_now(struct conform *world, uint64_t number);

/* Wait until every block that should be found was. */
void conform_wait_found(struct conform *world, uint64_t first, uint64_t count);

struct tier_health conform_health(const struct conform *world);

/* A random size of 1 to `most` bytes; small ones are frequent. */
uint64_t conform_size(struct conform *world, uint64_t most);

#endif
