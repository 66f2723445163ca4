/* naive: what a sidecar should hold, as a plain map, and claims as a plain list: the model beside
 * which test_naive_map.c drives the real one.
 *
 * A block is known by (space, key number, commit number). The commit number makes its bytes and its
 * size, and is its first word, so that a reader can tell which commit it sees. Where blocks may be
 * evicted, the last of several commits of a key may or may not have been the first of its life: the
 * model keeps all that are possible, until a reader sees one.
 */
#ifndef CISTERN_TESTS_E2E_NAIVE_H
#define CISTERN_TESTS_E2E_NAIVE_H

#include "libclient/include/cistern.h"

#include <stdbool.h>
#include <stdint.h>

#define NAIVE_SPACES 2u
#define NAIVE_KEYS 512u
#define NAIVE_HANDLES 5u
#define NAIVE_COMMITS 8u /* that may be the one, of a key */
#define NAIVE_WAITS 8u /* of a key */
#define NAIVE_EVENTS 4096u /* of a handle, unheard */
#define NAIVE_NOBODY UINT32_MAX

struct naive_wait {
    uint32_t handle;
    uint64_t cookie;
};

struct naive_block {
    uint64_t commits[NAIVE_COMMITS]; /* commit numbers; none: it cannot be there */
    uint32_t commit_count;
    uint32_t owner; /* handle that has the claim, or NAIVE_NOBODY */
    struct naive_wait waits[NAIVE_WAITS];
    uint32_t wait_count;
};

struct naive_events {
    struct cistern_event due[NAIVE_EVENTS];
    uint32_t count;
};

struct naive {
    bool evicts; /* a block may vanish */
    struct naive_block blocks[NAIVE_SPACES][NAIVE_KEYS];
    struct naive_events events[NAIVE_HANDLES];
};

void naive_open(struct naive *naive, bool evicts);

/* The name of a block, the same in every space. */
struct cistern_key naive_key(uint32_t key);

/* How many bytes commit `commit` has, in a block of `block_bytes`; fill them. */
uint64_t naive_bytes(uint64_t commit, uint64_t block_bytes);
void naive_fill(void *data, uint32_t space, uint32_t key, uint64_t commit, uint64_t block_bytes);

/* Is this, to the last byte, what a commit of the key wrote? Returns its number, or 0. */
uint64_t naive_read(
    const void *data, uint64_t bytes, uint32_t space, uint32_t key, uint64_t block_bytes);

/* May the block be there? */
static inline bool naive_has(const struct naive *naive, uint32_t space, uint32_t key)
{
    return naive->blocks[space][key].commit_count > 0;
}

/* Is there room to remember one more commit of the key? */
bool naive_can_commit(const struct naive *naive, uint32_t space, uint32_t key);

/* A commit was handled: the first one wins, and its claim and waits are over. */
void naive_commit(struct naive *naive, uint32_t space, uint32_t key, uint64_t commit);

/* A reader saw this commit. Returns false if it could not be that one. */
bool naive_saw(struct naive *naive, uint32_t space, uint32_t key, uint64_t commit);

/* The status that a claim, or a wait without end, by `handle` has; and what follows from it. */
int naive_claim(struct naive *naive, uint32_t space, uint32_t key, uint32_t handle);
void naive_unclaim(struct naive *naive, uint32_t space, uint32_t key, uint32_t handle);
void naive_wait(
    struct naive *naive, uint32_t space, uint32_t key, uint32_t handle, uint64_t cookie);

/* The handle was closed: its waits vanish, its claims pass on. */
void naive_leave(struct naive *naive, uint32_t handle);

/* This event came to the handle. Returns false if it was not due. */
bool naive_heard(struct naive *naive, uint32_t handle, const struct cistern_event *event);

#endif
