/* region: counts and lists. See region.h for the rules. */
#include "sidecar/tier/region.h"

#include "shm/status.h"
#include "sidecar/tier/nvme_format.h"

#include <stdlib.h>

int region_open(struct regions *out_regions, uint32_t count, uint8_t directory)
{
    struct region *region = calloc(count, sizeof *region);
    if (region == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        region[i].newest = CATALOG_NONE;
    }
    *out_regions =
        (struct regions){.region = region, .count = count, .free = count, .directory = directory};
    return STATUS_OK;
}

void region_close(struct regions *regions)
{
    free(regions->region);
    *regions = (struct regions){.count = 0};
}

uint32_t region_lend(struct regions *regions)
{
    /* The one used longest ago, so that wear is even, and what a crash left is still there. */
    uint32_t best = REGION_NONE;
    for (uint32_t i = 0; i < regions->count && regions->free > 0; i++) {
        const struct region *region = &regions->region[i];
        if (region->state == REGION_FREE &&
            (best == REGION_NONE || region->generation < regions->region[best].generation)) {
            best = i;
        }
    }
    if (best != REGION_NONE) {
        regions->region[best].state = REGION_OPEN;
        regions->region[best].worth = 0;
        regions->region[best].generation = ++regions->generation;
        regions->free--;
        regions->open++;
    }
    return best;
}

void region_seal(struct regions *regions, uint32_t number)
{
    assert(regions->region[number].state == REGION_OPEN);
    regions->region[number].state = REGION_FULL;
    regions->full++;
    regions->open--;
}

bool region_found(struct regions *regions, uint32_t number, uint64_t generation)
{
    if (number >= regions->count || regions->region[number].state != REGION_FREE) {
        return false;
    }
    struct region *region = &regions->region[number];
    region->state = REGION_FULL;
    region->generation = generation;
    regions->free--;
    regions->full++;
    if (generation > regions->generation) {
        regions->generation = generation;
    }
    return true;
}

/* The oldest full ones, oldest first, at most `window`. Returns how many. */
static uint32_t find_oldest(const struct regions *regions, uint32_t window, uint32_t *out_oldest)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < regions->count; i++) {
        const struct region *region = &regions->region[i];
        if (region->state != REGION_FULL) {
            continue;
        }
        /* Insert by age; the window is short. */
        uint32_t at = count;
        while (at > 0 && regions->region[out_oldest[at - 1]].generation > region->generation) {
            if (at < window) {
                out_oldest[at] = out_oldest[at - 1];
            }
            at--;
        }
        if (at < window) {
            out_oldest[at] = i;
            count += count < window;
        }
    }
    return count;
}

static uint32_t find_emptiest(const struct regions *regions, uint64_t below_bytes)
{
    uint32_t best = REGION_NONE;
    for (uint32_t i = 0; i < regions->count; i++) {
        const struct region *region = &regions->region[i];
        if (region->state == REGION_FULL && region->bytes < below_bytes) {
            best = i;
            below_bytes = region->bytes;
        }
    }
    return best;
}

uint32_t region_victim(struct regions *regions, uint64_t sparse_bytes, bool must)
{
    uint32_t oldest[REGION_WINDOW];
    uint32_t window = regions->full / REGION_WINDOW_PART;
    window = window < 1 ? 1 : window > REGION_WINDOW ? REGION_WINDOW : window;
    uint32_t count = find_oldest(regions, window, oldest);
    uint32_t best = find_emptiest(regions, sparse_bytes);
    bool sparse = best != REGION_NONE || !must;
    for (uint32_t i = 0; i < count && !sparse; i++) {
        const struct region *region = &regions->region[oldest[i]];
        if (best == REGION_NONE || region->worth < regions->region[best].worth) {
            best = oldest[i];
        }
    }
    for (uint32_t i = 0; i < count && !sparse; i++) {
        regions->region[oldest[i]].worth /= 2;
    }
    if (best != REGION_NONE) {
        regions->region[best].state = REGION_LEAVING;
        regions->full--;
    }
    return best;
}

void region_free(struct regions *regions, uint32_t number)
{
    struct region *region = &regions->region[number];
    assert(region->state == REGION_LEAVING && region->blocks == 0 && region->reads == 0);
    region->state = REGION_FREE;
    regions->free++;
}

static uint64_t size_of(const struct catalog_entry *entry)
{
    return (uint64_t)nvme_format_pages(entry->stored_bytes) * NVME_FORMAT_PAGE;
}

void region_link(struct regions *regions, struct catalog *catalog, uint32_t index)
{
    struct catalog_entry *entry = &catalog->entries[index];
    struct region *region = &regions->region[entry->region];
    assert(entry->directory == regions->directory && entry->state == CATALOG_HELD);
    entry->older = region->newest;
    entry->newer = CATALOG_NONE;
    if (region->newest != CATALOG_NONE) {
        catalog->entries[region->newest].newer = index;
    }
    region->newest = index;
    region->blocks++;
    region->bytes += size_of(entry);
}

void region_unlink(struct regions *regions, struct catalog *catalog, uint32_t index)
{
    struct catalog_entry *entry = &catalog->entries[index];
    struct region *region = &regions->region[entry->region];
    assert(region->blocks > 0);
    if (entry->newer != CATALOG_NONE) {
        catalog->entries[entry->newer].older = entry->older;
    } else {
        assert(region->newest == index);
        region->newest = entry->older;
    }
    if (entry->older != CATALOG_NONE) {
        catalog->entries[entry->older].newer = entry->newer;
    }
    entry->older = CATALOG_NONE;
    entry->newer = CATALOG_NONE;
    region->blocks--;
    region->bytes -= size_of(entry);
}

void region_hit(struct regions *regions, struct catalog *catalog, uint32_t index)
{
    struct catalog_entry *entry = &catalog->entries[index];
    if (entry->hits < CATALOG_HITS_MOST) {
        entry->hits = (uint8_t)((entry->hits + 1u) & CATALOG_HITS_MOST);
    }
    regions->region[entry->region].worth++;
}
