/* whatif: see whatif.h. Source: Waldspurger et al., "SHARDS", FAST 2015 (a sample by hash, and the
 * correction for keys so hot that the sample has too many or too few of them). */
#include "sidecar/block/whatif.h"

#include <assert.h>
#include <stdbool.h>

#define NONE UINT32_MAX
#define LOOKS 32u /* in one bucket: clients choose keys, and could make them all fall together */
#define SHIFT_MOST 40u

const char *const whatif_names[WHATIF_SIZES] = {"0.5", "1", "2", "4"};

uint64_t whatif_arena_bytes(void)
{
    return arena_bytes(WHATIF_ENTRIES + 1, sizeof(struct whatif_entry)) +
           arena_bytes(WHATIF_ENTRIES, sizeof(uint32_t));
}

void whatif_open(struct whatif *whatif, uint64_t blocks, struct arena *arena)
{
    whatif->entries = arena_take(arena, WHATIF_ENTRIES + 1, sizeof whatif->entries[0]);
    whatif->buckets = arena_take(arena, WHATIF_ENTRIES, sizeof whatif->buckets[0]);
    whatif_resize(whatif, blocks);
}

void whatif_resize(struct whatif *whatif, uint64_t blocks)
{
    assert(blocks > 0);
    uint32_t shift = 0;
    while (shift < SHIFT_MOST && blocks >> shift > WHATIF_ENTRIES / 4) {
        shift++;
    }
    *whatif = (struct whatif){
        .entries = whatif->entries, .buckets = whatif->buckets, .newest = NONE, .shift = shift};
    uint64_t before = 0;
    for (uint32_t i = 0; i < WHATIF_SIZES; i++) {
        uint64_t size = (blocks << i) / 2 >> shift;
        size = size > before ? size : before;
        size = size > 0 ? size : 1;
        whatif->zones[i] = (struct whatif_zone){.oldest = NONE, .most = (uint32_t)(size - before)};
        before = size;
    }
    assert(before <= WHATIF_ENTRIES);
    for (uint32_t i = 0; i < WHATIF_ENTRIES; i++) {
        whatif->buckets[i] = NONE;
    }
    for (uint32_t i = 0; i <= WHATIF_ENTRIES; i++) {
        whatif->entries[i].older = i < WHATIF_ENTRIES ? i + 1 : NONE;
    }
}

static uint32_t *bucket_of(const struct whatif *whatif, uint64_t key_hash)
{
    return &whatif->buckets[key_hash % WHATIF_ENTRIES];
}

static void leave_stack(struct whatif *whatif, uint32_t at)
{
    struct whatif_entry *entries = whatif->entries;
    struct whatif_entry *entry = &entries[at];
    struct whatif_zone *zone = &whatif->zones[entry->zone];
    if (zone->oldest == at) {
        zone->oldest = zone->count > 1 ? entry->newer : NONE;
    }
    zone->count--;
    if (entry->newer != NONE) {
        entries[entry->newer].older = entry->older;
    } else {
        whatif->newest = entry->older;
    }
    if (entry->older != NONE) {
        entries[entry->older].newer = entry->newer;
    }
}

static void forget(struct whatif *whatif, uint32_t at)
{
    leave_stack(whatif, at);
    uint32_t *link = bucket_of(whatif, whatif->entries[at].key_hash);
    /* Bounded: no chain was let grow longer than LOOKS. */
    while (*link != at) {
        assert(*link != NONE);
        link = &whatif->entries[*link].chain;
    }
    *link = whatif->entries[at].chain;
    whatif->entries[at].older = whatif->free;
    whatif->free = at;
}

/* Put an entry on top; in each zone that has one too many the oldest sinks to the next. */
static void enter_stack(struct whatif *whatif, uint32_t at)
{
    struct whatif_entry *entries = whatif->entries;
    entries[at].newer = NONE;
    entries[at].older = whatif->newest;
    entries[at].zone = 0;
    if (whatif->newest != NONE) {
        entries[whatif->newest].newer = at;
    }
    whatif->newest = at;
    struct whatif_zone *zones = whatif->zones;
    zones[0].oldest = zones[0].count == 0 ? at : zones[0].oldest;
    zones[0].count++;
    for (uint32_t i = 0; i < WHATIF_SIZES && zones[i].count > zones[i].most; i++) {
        uint32_t sinks = zones[i].oldest;
        if (i == WHATIF_SIZES - 1) {
            forget(whatif, sinks);
            break;
        }
        zones[i].oldest = zones[i].count > 1 ? entries[sinks].newer : NONE;
        zones[i].count--;
        entries[sinks].zone = i + 1;
        zones[i + 1].oldest = zones[i + 1].count == 0 ? sinks : zones[i + 1].oldest;
        zones[i + 1].count++;
    }
}

void whatif_use(struct whatif *whatif, uint64_t key_hash)
{
    whatif->uses++;
    /* Other bits than those that choose a bucket. */
    uint64_t mixed = key_hash * UINT64_C(0x9e3779b97f4a7c15);
    if (whatif->shift > 0 && mixed >> (64 - whatif->shift) != 0) {
        return;
    }
    whatif->sampled++;
    uint32_t *bucket = bucket_of(whatif, key_hash);
    uint32_t at = *bucket;
    uint32_t looks = 0;
    while (at != NONE && whatif->entries[at].key_hash != key_hash) {
        at = whatif->entries[at].chain;
        looks++;
    }
    if (at != NONE) {
        for (uint32_t i = whatif->entries[at].zone; i < WHATIF_SIZES; i++) {
            whatif->hits[i]++;
        }
        leave_stack(whatif, at);
    } else if (looks < LOOKS) {
        at = whatif->free;
        whatif->free = whatif->entries[at].older;
        whatif->entries[at].key_hash = key_hash;
        whatif->entries[at].chain = *bucket;
        *bucket = at;
    } else {
        return;
    }
    enter_stack(whatif, at);
}

void whatif_rates(const struct whatif *whatif, struct whatif_rates *out_rates)
{
    /* As many uses too few in the sample, as many hits too few: hot keys hit at every size. */
    int64_t missing = (int64_t)(whatif->uses >> whatif->shift) - (int64_t)whatif->sampled;
    struct whatif_rates rates = {.uses = whatif->uses};
    for (uint32_t i = 0; i < WHATIF_SIZES; i++) {
        int64_t hits = (int64_t)whatif->hits[i] + missing;
        rates.hits[i] = hits > 0 ? (uint64_t)hits << whatif->shift : 0;
    }
    *out_rates = rates;
}
