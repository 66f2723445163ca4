/* cold: see cold.h. */
#include "sidecar/block/cold.h"

#include "sidecar/block/admit.h"
#include "sidecar/block/blocks.h"
#include "sidecar/block/fetch_load.h"
#include "sidecar/block/move_down.h"

#include <stddef.h>

#define MEASURE_NS UINT64_C(100000000) /* between two looks at how the tiers are */
#define SEARCH_NS UINT64_C(10000000000) /* copies are not put off longer than this */

void cold_attach(struct blocks *blocks, struct tiers *tiers, void *pool)
{
    blocks->cold = (struct cold){.tiers = tiers, .pool = pool};
}

void cold_search(struct blocks *blocks, uint64_t now_ns)
{
    blocks->cold.finding = true;
    blocks->cold.search_ns = now_ns + SEARCH_NS;
}

void cold_space(struct blocks *blocks, uint32_t number, const struct space *space, uint64_t group)
{
    if (blocks->cold.tiers != NULL) {
        tiers_space(blocks->cold.tiers, number, space, group);
    }
}

bool cold_has(const struct blocks *blocks, const struct key *key)
{
    return blocks->cold.tiers != NULL && tiers_has(blocks->cold.tiers, key);
}

/* A block came to, or left, a tier by itself: if it is hot, dropping it costs something else now,
 * be it from host memory or from a device's. */
static void note_cost(struct blocks *blocks, const struct tier_id *id, bool below)
{
    uint32_t space = tiers_space_number(blocks->cold.tiers, id->space);
    if (space != TIERS_SPACE_NONE) {
        admit_cost(blocks, &id->key, (uint16_t)space, below);
    }
}

static void take(
    struct blocks *blocks, const struct tier_done *done, const struct fetch_means *means)
{
    switch (done->event) {
    case TIER_STORED:
        spill_stored(blocks, done);
        break;
    case TIER_PART:
        fetch_load_part(blocks, done, means);
        break;
    case TIER_LOADED:
        fetch_load_done(blocks, done, means);
        break;
    case TIER_FOUND:
        note_cost(blocks, &done->id, true);
        break;
    case TIER_LOST:
        note_cost(blocks, &done->id, false);
        break;
    }
}

/* Returns how many events there were. */
static uint32_t take_events(struct blocks *blocks, const struct fetch_means *means)
{
    struct tier_done done[COLD_EVENTS];
    uint32_t count = tiers_poll(blocks->cold.tiers, means->now_ns, done, COLD_EVENTS);
    for (uint32_t i = 0; i < count; i++) {
        take(blocks, &done[i], means);
    }
    return count;
}

bool cold_turn(struct blocks *blocks, const struct fetch_means *means, uint32_t *out_work)
{
    struct tiers *tiers = blocks->cold.tiers;
    *out_work = 0;
    if (tiers == NULL && !move_can(blocks)) {
        return false;
    }
    uint32_t moved = move_turn(blocks, means);
    uint32_t count = tiers == NULL ? 0 : take_events(blocks, means);
    if (moved + count > 0) {
        blocks->fetches.blocked = false;
    }
    /* Every turn: commits may use up the room of a class faster than ticks come. */
    move_down_some(blocks, means);
    if (tiers != NULL) {
        spill_some(blocks, means->now_ns);
    }
    uint32_t queued = blocks->fetches.urgent.count + blocks->fetches.ahead.count;
    bool more = fetch_load_some(blocks, means);
    *out_work = moved + count + queued;
    return more || moved == MOVE_EVENTS || count == COLD_EVENTS ||
           (tiers != NULL && tiers_restless(tiers));
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t cold_tick(struct blocks *blocks, const struct fetch_means *means)
{
    uint64_t now_ns = means->now_ns;
    uint64_t next = hold_tick(&blocks->holds, now_ns);
    next = earlier(next, fetch_batch_tick(&blocks->fetches.batches, now_ns, &means->answers));
    next = earlier(next, fetch_load_tick(blocks, means));
    move_down_some(blocks, means);
    if (blocks->cold.tiers != NULL) {
        blocks->spills.refused = false;
        spill_some(blocks, now_ns);
        if (now_ns - blocks->cold.measured_ns >= MEASURE_NS) {
            blocks->cold.measured_ns = now_ns;
            tiers_tick(blocks->cold.tiers);
            blocks->cold.finding = blocks->cold.finding && now_ns < blocks->cold.search_ns &&
                                   tiers_finding(blocks->cold.tiers);
        }
        if (tiers_restless(blocks->cold.tiers)) {
            next = now_ns;
        }
    }
    return next;
}

bool cold_save(struct blocks *blocks, const struct fetch_means *means, struct cold_cursor *cursor)
{
    if (blocks->cold.tiers == NULL) {
        return true;
    }
    if (move_turn(blocks, means) > 0) {
        cursor->host = 0; /* what came from a device may lie anywhere */
    }
    (void)take_events(blocks, means);
    move_down_rest(blocks, &cursor->device, &means->sweep);
    bool seen = spill_rest(blocks, &cursor->host);
    /* With nothing under way what is left of a device finds no room, and never will. */
    return seen && blocks->spills.count == 0 && move_idle(blocks);
}
