/* catalog: a hash table with chains in reserved memory. See catalog.h for the rules. */
#include "sidecar/tier/catalog.h"

#include "shm/status.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#define BUCKETS_LEAST 1024u
#define BUCKETS_MOST (UINT32_C(1) << 28)

static void *reserve(uint64_t bytes)
{
    void *memory = mmap(
        NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int catalog_open(struct catalog *out_catalog, uint32_t most, uint32_t usual, uint64_t seed)
{
    assert(most > 0 && most < CATALOG_NONE);
    uint32_t buckets = BUCKETS_LEAST;
    while (buckets < usual && buckets < BUCKETS_MOST) {
        buckets *= 2;
    }
    struct catalog catalog = {
        .entries = reserve((uint64_t)most * sizeof(struct catalog_entry)),
        .buckets = reserve((uint64_t)buckets * sizeof(uint32_t)),
        .kinds = reserve(CATALOG_KINDS * sizeof(struct catalog_kind)),
        .seed = seed,
        .bucket_mask = buckets - 1,
        .most = most,
        .free = CATALOG_NONE,
    };
    if (catalog.entries == NULL || catalog.buckets == NULL || catalog.kinds == NULL) {
        catalog_close(&catalog);
        return STATUS_NO_MEMORY;
    }
    *out_catalog = catalog;
    return STATUS_OK;
}

static void give_back(void *memory, uint64_t bytes)
{
    if (memory != NULL) {
        (void)munmap(memory, bytes);
    }
}

void catalog_close(struct catalog *catalog)
{
    give_back(catalog->entries, (uint64_t)catalog->most * sizeof(struct catalog_entry));
    give_back(catalog->buckets, ((uint64_t)catalog->bucket_mask + 1) * sizeof(uint32_t));
    give_back(catalog->kinds, CATALOG_KINDS * sizeof(struct catalog_kind));
    *catalog = (struct catalog){.free = CATALOG_NONE};
}

static uint32_t *bucket_of(const struct catalog *catalog, const struct tier_id *id)
{
    uint64_t hash = XXH3_64bits_withSeed(id, sizeof *id, catalog->seed);
    return &catalog->buckets[hash & catalog->bucket_mask];
}

uint32_t catalog_find(const struct catalog *catalog, const struct tier_id *id)
{
    static_assert(sizeof(struct tier_id) == 64, "the hash reads no padding");
    for (uint32_t at = *bucket_of(catalog, id); at != 0;) {
        const struct catalog_entry *entry = &catalog->entries[at - 1];
        if (memcmp(&entry->key, &id->key, sizeof id->key) == 0 &&
            memcmp(catalog->kinds[entry->kind].space, id->space, sizeof id->space) == 0) {
            return at - 1;
        }
        at = entry->next;
    }
    return CATALOG_NONE;
}

static bool same_kind(
    const struct catalog_kind *kind, const uint8_t *space, uint8_t type, uint32_t channels)
{
    return kind->blocks > 0 && kind->type == type && kind->channels == channels &&
           memcmp(kind->space, space, sizeof kind->space) == 0;
}

/* Open addressing without gaps to mind: a free kind does not end the search, the limit does. */
static uint32_t take_kind(
    struct catalog *catalog, const uint8_t *space, uint8_t type, uint32_t channels)
{
    struct catalog_kind *kinds = catalog->kinds;
    if (same_kind(&kinds[catalog->kind_last], space, type, channels)) {
        kinds[catalog->kind_last].blocks++;
        return catalog->kind_last;
    }
    uint32_t begin =
        (uint32_t)(XXH3_64bits_withSeed(space, 32, catalog->seed) & (CATALOG_KINDS - 1));
    uint32_t free = CATALOG_NONE;
    /* The nearest 64: a bounded walk. More namespaces than that in one place are not taken in. */
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t at = (begin + i) & (CATALOG_KINDS - 1);
        if (same_kind(&kinds[at], space, type, channels)) {
            kinds[at].blocks++;
            catalog->kind_last = at;
            return at;
        }
        if (kinds[at].blocks == 0 && free == CATALOG_NONE) {
            free = at;
        }
    }
    if (free != CATALOG_NONE) {
        kinds[free] = (struct catalog_kind){.channels = channels, .blocks = 1, .type = type};
        memcpy(kinds[free].space, space, sizeof kinds[free].space);
        catalog->kind_last = free;
    }
    return free;
}

uint32_t catalog_add(
    struct catalog *catalog, const struct tier_id *id, uint8_t type, uint32_t channels)
{
    assert(catalog_find(catalog, id) == CATALOG_NONE);
    uint32_t index = catalog->free;
    if (index == CATALOG_NONE && catalog->used == catalog->most) {
        return CATALOG_NONE;
    }
    uint32_t kind = take_kind(catalog, id->space, type, channels);
    if (kind == CATALOG_NONE) {
        return CATALOG_NONE;
    }
    if (index == CATALOG_NONE) {
        index = catalog->used++;
    } else {
        catalog->free = catalog->entries[index].next;
    }
    struct catalog_entry *entry = &catalog->entries[index];
    uint32_t *bucket = bucket_of(catalog, id);
    *entry = (struct catalog_entry){
        .key = id->key,
        .next = *bucket,
        .older = CATALOG_NONE,
        .newer = CATALOG_NONE,
        .kind = (uint16_t)kind,
        .use = entry->use,
        .state = CATALOG_WRITING,
    };
    *bucket = index + 1;
    catalog->count++;
    return index;
}

void catalog_remove(struct catalog *catalog, uint32_t index)
{
    struct catalog_entry *entry = &catalog->entries[index];
    assert(entry->state != CATALOG_FREE);
    assert(entry->older == CATALOG_NONE && entry->newer == CATALOG_NONE);
    struct tier_id id;
    catalog_id(catalog, index, &id);
    uint32_t *link = bucket_of(catalog, &id);
    while (*link != index + 1) {
        assert(*link != 0);
        link = &catalog->entries[*link - 1].next;
    }
    *link = entry->next;
    catalog->kinds[entry->kind].blocks--;
    entry->state = CATALOG_FREE;
    entry->use++;
    entry->next = catalog->free;
    catalog->free = index;
    catalog->count--;
}

void catalog_place(struct catalog *catalog, uint32_t index, const struct record_header *header,
    const struct catalog_place *place)
{
    struct catalog_entry *entry = &catalog->entries[index];
    assert(entry->state != CATALOG_FREE);
    entry->root = header->root;
    memcpy(entry->nonce, header->nonce, sizeof entry->nonce);
    entry->sealed = (header->flags & RECORD_SEALED) != 0;
    entry->codec = (uint8_t)(header->codec & 0xfu) & 0xfu;
    entry->raw_bytes = (uint32_t)header->raw_bytes;
    entry->stored_bytes = (uint32_t)header->stored_bytes;
    entry->region = place->region;
    entry->page = place->page;
    entry->back = place->back;
    entry->directory = (uint8_t)(place->directory) & 0xfu;
    entry->state = CATALOG_HELD;
    entry->hits = 0;
}

void catalog_header(const struct catalog *catalog, uint32_t index, struct record_header *out_header)
{
    const struct catalog_entry *entry = &catalog->entries[index];
    const struct catalog_kind *kind = &catalog->kinds[entry->kind];
    struct record_header header = {
        .magic = RECORD_MAGIC,
        .version = RECORD_VERSION,
        .codec = entry->codec,
        .type = kind->type,
        .channels = kind->channels,
        .flags = entry->sealed ? RECORD_SEALED : 0,
        .raw_bytes = entry->raw_bytes,
        .stored_bytes = entry->stored_bytes,
        .root = entry->root,
    };
    memcpy(header.key, &entry->key, sizeof header.key);
    memcpy(header.space, kind->space, sizeof header.space);
    memcpy(header.nonce, entry->nonce, sizeof header.nonce);
    *out_header = header;
}

void catalog_id(const struct catalog *catalog, uint32_t index, struct tier_id *out_id)
{
    const struct catalog_entry *entry = &catalog->entries[index];
    out_id->key = entry->key;
    memcpy(out_id->space, catalog->kinds[entry->kind].space, sizeof out_id->space);
}
