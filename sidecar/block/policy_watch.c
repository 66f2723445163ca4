/* policy_watch: see policy_watch.h. */
#include "sidecar/block/policy_watch.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Room for the keys of a small cache's horizon; a larger one is sampled. */
#define BUCKETS_LEAST 8192u
#define BUCKETS_MOST 32768u
#define SHIFT_MOST 20u

static uint32_t buckets_for(uint32_t slots)
{
    uint32_t buckets = BUCKETS_LEAST;
    while (buckets < BUCKETS_MOST && buckets / 4 < slots) {
        buckets *= 2;
    }
    return buckets;
}

uint64_t policy_watch_arena_bytes(uint32_t slots)
{
    uint64_t entries = (uint64_t)buckets_for(slots) * POLICY_WATCH_WAYS;
    return arena_bytes(entries, sizeof(struct policy_watch_entry));
}

void policy_watch_open(struct policy_watch *watch, uint32_t slots, struct arena *arena)
{
    uint32_t buckets = buckets_for(slots);
    uint64_t entries = (uint64_t)buckets * POLICY_WATCH_WAYS;
    *watch = (struct policy_watch){
        .entries = arena_take(arena, entries, sizeof(struct policy_watch_entry)),
        .buckets = buckets,
    };
}

/* Other bits than those that choose a bucket. */
static bool is_watched(const struct policy_watch *watch, uint32_t key_hash)
{
    uint32_t mixed = key_hash * UINT32_C(0x9e3779b1);
    return watch->shift == 0 || mixed >> (32 - watch->shift) == 0;
}

void policy_watch_use(struct policy_watch *watch, struct policy_hazard *hazard, uint8_t owner,
    uint32_t key_hash, uint8_t class, uint32_t now)
{
    if (!is_watched(watch, key_hash)) {
        return;
    }
    struct policy_watch_entry *bucket =
        &watch->entries[(uint64_t)(key_hash & (watch->buckets - 1)) * POLICY_WATCH_WAYS];
    struct policy_watch_entry *to = &bucket[0];
    for (uint32_t i = 0; i < POLICY_WATCH_WAYS; i++) {
        struct policy_watch_entry *entry = &bucket[i];
        if (entry->live && entry->key_hash == key_hash && entry->owner == owner) {
            policy_hazard_used(hazard, entry->class, now - entry->stamp);
            to = entry;
            break;
        }
        bool older = now - entry->stamp > now - to->stamp;
        to = to->live && (!entry->live || older) ? entry : to;
    }
    if (to->live && to->owner == owner && to->key_hash != key_hash) {
        policy_hazard_unused(hazard, to->class, now - to->stamp);
    }
    *to = (struct policy_watch_entry){
        .key_hash = key_hash, .stamp = now, .class = class, .owner = owner, .live = 1};
}

/* Forget what is not watched any more. */
static void thin_out(struct policy_watch *watch)
{
    for (uint32_t i = 0; i < policy_watch_entries(watch); i++) {
        if (!is_watched(watch, watch->entries[i].key_hash)) {
            watch->entries[i].live = 0;
        }
    }
}

void policy_watch_count(struct policy_watch *watch, struct policy_hazard *hazard, uint8_t owner,
    uint32_t now, uint32_t horizon, uint32_t most, struct policy_watch_census *census)
{
    uint32_t entries = policy_watch_entries(watch);
    uint32_t end = entries - census->next < most ? entries : census->next + most;
    for (; census->next < end; census->next++) {
        struct policy_watch_entry *entry = &watch->entries[census->next];
        census->live += entry->live;
        if (!entry->live || entry->owner != owner) {
            continue;
        }
        uint32_t time = now - entry->stamp;
        if (time > horizon) {
            policy_hazard_unused(hazard, entry->class, time);
            entry->live = 0;
        } else {
            census->alive.of[entry->class][policy_hazard_age(time)] += 1;
        }
    }
}

void policy_watch_adjust(struct policy_watch *watch, const struct policy_watch_census *census)
{
    uint32_t entries = policy_watch_entries(watch);
    /* Before buckets overflow: what they push out is old, and the old would look used too often. */
    if (census->live > entries / 4 * 3 && watch->shift < SHIFT_MOST) {
        watch->shift++;
        thin_out(watch);
    } else if (census->live < entries / 8 && watch->shift > 0) {
        watch->shift--;
    }
}
