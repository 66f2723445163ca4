/* ghost_history: see ghost_history.h. */
#include "sidecar/block/ghost_history.h"

#include <assert.h>
#include <stddef.h>

static_assert(sizeof(struct ghost_bucket) == 64, "one look is one cache line");

uint64_t ghost_history_arena_bytes(uint32_t buckets)
{
    return arena_bytes(buckets, sizeof(struct ghost_bucket));
}

void ghost_history_open(struct ghost_history *history, uint32_t buckets, struct arena *arena)
{
    assert(buckets > 0);
    history->buckets = arena_take(arena, buckets, sizeof(struct ghost_bucket));
    history->count = buckets;
    history->known = 0;
}

/* The bucket by the hash's high bits, the tag by its low ones. */
static struct ghost_bucket *bucket_of(const struct ghost_history *history, uint32_t key_hash)
{
    return &history->buckets[(uint64_t)key_hash * history->count >> 32];
}

static struct ghost_past *find(const struct ghost_history *history, uint32_t key_hash)
{
    struct ghost_bucket *bucket = bucket_of(history, key_hash);
    for (uint32_t i = 0; i < GHOST_HISTORY_WAYS; i++) {
        struct ghost_past *past = &bucket->ways[i];
        if (past->uses > 0 && past->tag == (uint16_t)key_hash) {
            return past;
        }
    }
    return NULL;
}

void ghost_history_add(
    struct ghost_history *history, uint32_t key_hash, struct ghost_past past, uint32_t now)
{
    assert(past.uses > 0);
    struct ghost_past *to = find(history, key_hash);
    struct ghost_bucket *bucket = bucket_of(history, key_hash);
    for (uint32_t i = 0; i < GHOST_HISTORY_WAYS && to == NULL; i++) {
        to = bucket->ways[i].uses == 0 ? &bucket->ways[i] : NULL;
    }
    if (to == NULL) {
        to = &bucket->ways[0];
        for (uint32_t i = 1; i < GHOST_HISTORY_WAYS; i++) {
            if (now - bucket->ways[i].used_at > now - to->used_at) {
                to = &bucket->ways[i];
            }
        }
    }
    history->known += to->uses == 0;
    past.tag = (uint16_t)key_hash;
    *to = past;
}

bool ghost_history_take(
    struct ghost_history *history, uint32_t key_hash, struct ghost_past *out_past)
{
    /* As after a takeover, for a million blocks: then no bucket is worth a look. */
    struct ghost_past *past = history->known > 0 ? find(history, key_hash) : NULL;
    if (past == NULL) {
        return false;
    }
    *out_past = *past;
    past->uses = 0;
    history->known--;
    return true;
}
