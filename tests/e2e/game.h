/* game: a real sidecar, the handles that play on it, and the plain map that they are compared with.
 *
 * Called by test_naive_map.c, which makes the moves. Everything here asserts by cmocka.
 */
#ifndef CISTERN_TESTS_E2E_GAME_H
#define CISTERN_TESTS_E2E_GAME_H

#include "tests/e2e/daemon.h"
#include "tests/e2e/gauge.h"
#include "tests/e2e/naive.h"

#define GAME_BLOCK_BYTES UINT64_C(16384) /* of both namespaces, so that slots are of one size */
#define GAME_EXTENT_SLOTS 64u /* 1 MiB */
#define GAME_PREFIX 8u
#define GAME_VIEWS 24u
#define GAME_SLOTS 6u
#define GAME_LONG_NS INT64_C(20000000000)

struct actor {
    uint32_t number;
    uint32_t space;
    uint32_t flags;
    cistern_t *handle;
    struct cistern_view views[GAME_VIEWS];
    uint32_t view_key[GAME_VIEWS];
    uint64_t view_commit[GAME_VIEWS];
    uint32_t view_count;
    struct cistern_slot slots[GAME_SLOTS];
    uint32_t slot_count;
};

struct game {
    struct daemon daemon;
    struct gauge gauge;
    struct naive naive;
    struct actor actors[NAIVE_HANDLES];
    uint64_t seed;
    uint32_t step;
    uint64_t random; /* of this step */
    uint64_t commit; /* the last number used */
    uint32_t keys; /* of each space that are played with */
    uint32_t views_most; /* of a handle: what every one is sure to have pins for */
    uint64_t hits;
    uint64_t misses;
};

/* A number below `below`, of this step's own sequence. */
uint32_t game_draw(struct game *game, uint32_t below);

/* Open the actor's handle; close it with all that it has, `left` handles being left. */
void game_enter(struct game *game, struct actor *actor);
void game_leave(struct game *game, struct actor *actor, uint32_t left);

/* Wait until the sidecar has handled all that the actor sent. */
void game_flush(struct actor *actor);

/* What all handles heard must be what was due, and all of it. */
void game_hear(struct game *game);

/* Which commit do these bytes belong to? It must be one that can be there. */
uint64_t game_see(
    struct game *game, const struct actor *actor, uint32_t key, const void *data, uint64_t bytes);

/* A miss of a key: right only if the map has it not, or it can have been evicted. */
void game_check_miss(struct game *game, const struct actor *actor, uint32_t key);

/* A view still holds what it held when it was taken. */
void game_check_view(const struct actor *actor, uint32_t at);

/* One number of `cistern status --json`, as an operator reads it. */
uint64_t game_status(const struct game *game, const char *name);

/* All that was lent is home, and every slot is hot or free. */
void game_check_books(struct game *game, uint32_t slots_most);

#endif
