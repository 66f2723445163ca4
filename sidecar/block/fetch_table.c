/* fetch_table: see fetch_table.h. */
#include "sidecar/block/fetch_table.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

#define NONE FETCH_NONE
#define QUEUE_EMPTY ((struct fetch_queue){.first = NONE, .last = NONE})

static uint32_t buckets_for(uint32_t count)
{
    uint32_t buckets = 16;
    while (buckets < count) {
        buckets *= 2;
    }
    return buckets;
}

/* Twice as many waits as reads: several clients may ask for the same blocks. */
static uint32_t waits_for(uint32_t reads_max)
{
    return 2 * reads_max;
}

uint64_t fetch_table_arena_bytes(uint32_t reads_max, uint32_t sessions_max)
{
    return arena_bytes(reads_max, sizeof(struct fetch_read)) +
           arena_bytes(buckets_for(reads_max), sizeof(uint32_t)) +
           fetch_batch_arena_bytes(waits_for(reads_max), reads_max, sessions_max);
}

void fetch_table_open(struct fetches *fetches, uint32_t reads_max, uint32_t sessions_max,
    uint64_t seed, _Atomic uint64_t *counters, struct arena *arena)
{
    uint32_t buckets = buckets_for(reads_max);
    *fetches = (struct fetches){
        .reads = arena_take(arena, reads_max, sizeof(struct fetch_read)),
        .buckets = arena_take(arena, buckets, sizeof(uint32_t)),
        .bucket_mask = buckets - 1,
        .dying = NONE,
        .seed = seed,
        .urgent = QUEUE_EMPTY,
        .ahead = QUEUE_EMPTY,
    };
    fetch_batch_open(
        &fetches->batches, waits_for(reads_max), reads_max, sessions_max, counters, arena);
    for (uint32_t i = 0; i < buckets; i++) {
        fetches->buckets[i] = NONE;
    }
    for (uint32_t i = 0; i < reads_max; i++) {
        fetches->reads[i].chain = i + 1 < reads_max ? i + 1 : NONE;
    }
}

/* Clients choose keys, not where they fall. */
static uint32_t bucket_of(const struct fetches *fetches, const struct tier_id *id)
{
    uint64_t hash = XXH3_64bits_withSeed(&id->key, sizeof id->key, fetches->seed);
    return (uint32_t)hash & fetches->bucket_mask;
}

uint32_t fetch_table_find(const struct fetches *fetches, const struct tier_id *id, uint16_t space)
{
    uint32_t at = fetches->buckets[bucket_of(fetches, id)];
    for (; at != NONE; at = fetches->reads[at].chain) {
        const struct fetch_read *read = &fetches->reads[at];
        if (read->space == space && memcmp(&read->id, id, sizeof *id) == 0) {
            break;
        }
    }
    return at;
}

uint32_t fetch_table_add(struct fetches *fetches, const struct fetch_read *read)
{
    uint32_t at = fetches->free;
    if (at == NONE) {
        return at;
    }
    uint32_t *bucket = &fetches->buckets[bucket_of(fetches, &read->id)];
    struct fetch_read *to = &fetches->reads[at];
    fetches->free = to->chain;
    *to = *read;
    to->serial = ++fetches->serial;
    to->state = FETCH_QUEUED;
    to->children = NONE;
    to->sibling = NONE;
    to->chain = *bucket;
    *bucket = at;
    fetch_table_queue(fetches, at, false);
    return at;
}

void fetch_table_hide(struct fetches *fetches, uint32_t at)
{
    uint32_t *link = &fetches->buckets[bucket_of(fetches, &fetches->reads[at].id)];
    while (*link != at) {
        assert(*link != NONE);
        link = &fetches->reads[*link].chain;
    }
    *link = fetches->reads[at].chain;
}

void fetch_table_free(struct fetches *fetches, uint32_t at)
{
    assert(fetches->batches.of_read[at] == FETCH_BATCH_NONE);
    fetches->reads[at] = (struct fetch_read){.chain = fetches->free};
    fetches->free = at;
}

static struct fetch_queue *queue_of(struct fetches *fetches, uint32_t at)
{
    return fetches->reads[at].ahead ? &fetches->ahead : &fetches->urgent;
}

void fetch_table_queue(struct fetches *fetches, uint32_t at, bool first)
{
    struct fetch_queue *queue = queue_of(fetches, at);
    struct fetch_read *reads = fetches->reads;
    reads[at].before = first ? NONE : queue->last;
    reads[at].after = first ? queue->first : NONE;
    if (reads[at].before != NONE) {
        reads[reads[at].before].after = at;
    } else {
        queue->first = at;
    }
    if (reads[at].after != NONE) {
        reads[reads[at].after].before = at;
    } else {
        queue->last = at;
    }
    queue->count++;
}

void fetch_table_unqueue(struct fetches *fetches, uint32_t at)
{
    struct fetch_queue *queue = queue_of(fetches, at);
    struct fetch_read *reads = fetches->reads;
    if (reads[at].before != NONE) {
        reads[reads[at].before].after = reads[at].after;
    } else {
        queue->first = reads[at].after;
    }
    if (reads[at].after != NONE) {
        reads[reads[at].after].before = reads[at].before;
    } else {
        queue->last = reads[at].before;
    }
    assert(queue->count > 0);
    queue->count--;
}

void fetch_table_drop(struct fetches *fetches, uint32_t at)
{
    assert(fetches->reads[at].state == FETCH_QUEUED);
    fetch_table_unqueue(fetches, at);
    fetch_table_hide(fetches, at);
    fetch_table_free(fetches, at);
}
