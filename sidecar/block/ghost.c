/* ghost: see ghost.h. */
#include "sidecar/block/ghost.h"

#include <assert.h>
#include <stddef.h>

static uint32_t buckets_for(uint32_t count)
{
    uint32_t buckets = 16;
    while (buckets < count) {
        buckets *= 2;
    }
    return buckets;
}

uint64_t ghost_arena_bytes(uint32_t count)
{
    return arena_bytes(count, sizeof(struct ghost)) +
           arena_bytes(buckets_for(count), sizeof(uint32_t));
}

void ghost_open(struct ghosts *ghosts, uint32_t count, struct arena *arena)
{
    assert(count > 0 && count <= UINT32_C(1) << 30);
    uint32_t buckets = buckets_for(count);
    ghosts->entries = arena_take(arena, count, sizeof(struct ghost));
    ghosts->buckets = arena_take(arena, buckets, sizeof(uint32_t));
    ghosts->bucket_mask = buckets - 1;
    for (uint32_t i = 0; i < buckets; i++) {
        ghosts->buckets[i] = GHOST_NONE;
    }
    for (uint32_t i = 0; i < count; i++) {
        ghosts->entries[i].older = i + 1 < count ? i + 1 : GHOST_NONE;
    }
    ghosts->free = 0;
}

void ghost_list_open(struct ghost_list *list)
{
    *list = (struct ghost_list){.newest = GHOST_NONE, .oldest = GHOST_NONE};
}

bool ghost_add(struct ghosts *ghosts, struct ghost_list *list, uint32_t key_hash)
{
    uint32_t at = ghosts->free;
    if (at == GHOST_NONE) {
        return false;
    }
    struct ghost *ghost = &ghosts->entries[at];
    ghosts->free = ghost->older;

    uint32_t *bucket = &ghosts->buckets[key_hash & ghosts->bucket_mask];
    *ghost = (struct ghost){
        .list = list,
        .key_hash = key_hash,
        .newer = GHOST_NONE,
        .older = list->newest,
        .chain_before = GHOST_NONE,
        .chain_after = *bucket,
    };
    if (*bucket != GHOST_NONE) {
        ghosts->entries[*bucket].chain_before = at;
    }
    *bucket = at;
    if (list->newest != GHOST_NONE) {
        ghosts->entries[list->newest].newer = at;
    } else {
        list->oldest = at;
    }
    list->newest = at;
    list->count++;
    return true;
}

static void forget(struct ghosts *ghosts, uint32_t at)
{
    struct ghost *ghost = &ghosts->entries[at];
    struct ghost_list *list = ghost->list;
    if (ghost->newer != GHOST_NONE) {
        ghosts->entries[ghost->newer].older = ghost->older;
    } else {
        list->newest = ghost->older;
    }
    if (ghost->older != GHOST_NONE) {
        ghosts->entries[ghost->older].newer = ghost->newer;
    } else {
        list->oldest = ghost->newer;
    }
    if (ghost->chain_before != GHOST_NONE) {
        ghosts->entries[ghost->chain_before].chain_after = ghost->chain_after;
    } else {
        ghosts->buckets[ghost->key_hash & ghosts->bucket_mask] = ghost->chain_after;
    }
    if (ghost->chain_after != GHOST_NONE) {
        ghosts->entries[ghost->chain_after].chain_before = ghost->chain_before;
    }
    assert(list->count > 0);
    list->count--;
    ghost->list = NULL;
    ghost->older = ghosts->free;
    ghosts->free = at;
}

uint32_t ghost_take(
    struct ghosts *ghosts, struct ghost_list *lists, uint32_t list_count, uint32_t key_hash)
{
    uint32_t known = 0;
    for (uint32_t i = 0; i < list_count; i++) {
        known += lists[i].count;
    }
    /* As after a takeover, for a million blocks: then a bucket, which lies anywhere, is no use. */
    if (known == 0) {
        return GHOST_NONE;
    }
    uint32_t at = ghosts->buckets[key_hash & ghosts->bucket_mask];
    for (uint32_t looks = 0; at != GHOST_NONE && looks < GHOST_LOOKS; looks++) {
        const struct ghost *ghost = &ghosts->entries[at];
        for (uint32_t i = 0; i < list_count && ghost->key_hash == key_hash; i++) {
            if (ghost->list == &lists[i]) {
                forget(ghosts, at);
                return i;
            }
        }
        at = ghost->chain_after;
    }
    return GHOST_NONE;
}

void ghost_drop_oldest(struct ghosts *ghosts, struct ghost_list *list)
{
    assert(list->count > 0 && list->oldest != GHOST_NONE);
    forget(ghosts, list->oldest);
}
