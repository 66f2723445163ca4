/* hit_loop: acquire and release between two looks at the clock. */
#include "bench/hit_loop.h"

#include "bench/chain.h"
#include "bench/clock.h"
#include "bench/content.h"
#include "bench/rng.h"

#include <stdlib.h>

struct cistern_key *hit_loop_draw(uint64_t seed, uint64_t picks, uint64_t entries, size_t count)
{
    struct cistern_key *keys = malloc(count * sizeof keys[0]);
    for (size_t i = 0; keys != NULL && i < count; i++) {
        keys[i] = content_key(seed, rng_below(&picks, entries));
    }
    return keys;
}

uint64_t hit_loop_single(cistern_t *handle, const struct cistern_key *keys, size_t count,
    bool chained, struct stats *out_samples)
{
    uint64_t missed = 0;
    for (size_t at = 0; at + HIT_LOOP_GROUP <= count; at += HIT_LOOP_GROUP) {
        const struct cistern_key *key = &keys[at];
        int64_t start = clock_now_ns();
        for (size_t i = 0; i < HIT_LOOP_GROUP; i++) {
            struct cistern_view view = {0};
            size_t pinned;
            uintptr_t found = 0; /* its release clears the view */
            if (cistern_acquire(handle, key, 1, &view, &pinned) == CISTERN_OK) {
                found = (uintptr_t)view.data;
                cistern_release(handle, &view, pinned);
            } else {
                missed++;
            }
            key += 1 + (chained ? chain_zero(found) : 0);
        }
        stats_add(out_samples, (double)(clock_now_ns() - start) / HIT_LOOP_GROUP);
    }
    return missed;
}

uint64_t hit_loop_batch(
    cistern_t *handle, const struct cistern_key *keys, size_t count, struct stats *out_samples)
{
    uint64_t missed = 0;
    for (size_t at = 0; at + HIT_LOOP_BATCH <= count; at += HIT_LOOP_BATCH) {
        struct cistern_view views[HIT_LOOP_BATCH];
        size_t pinned = 0;
        int64_t start = clock_now_ns();
        if (cistern_acquire(handle, &keys[at], HIT_LOOP_BATCH, views, &pinned) == CISTERN_OK) {
            cistern_release(handle, views, pinned);
        } else {
            pinned = 0;
        }
        stats_add(out_samples, (double)(clock_now_ns() - start) / HIT_LOOP_BATCH);
        missed += HIT_LOOP_BATCH - pinned;
    }
    return missed;
}
