/* staging: the places of an isolated client. */
#include "sidecar/session/staging.h"

#include "shm/layout.h"
#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>

uint64_t staging_place_bytes(uint64_t block_bytes)
{
    return (block_bytes + LAYOUT_PAGE_BYTES - 1) / LAYOUT_PAGE_BYTES * LAYOUT_PAGE_BYTES;
}

int staging_open(struct staging *out_staging, uint64_t block_bytes, uint32_t places)
{
    assert(places > 0);
    struct staging staging = {
        .segment = SEGMENT_NONE,
        .place_bytes = staging_place_bytes(block_bytes),
        .places = places,
        .free_count = places,
        .free_places = calloc(places, sizeof *staging.free_places),
        .generation = calloc(places, sizeof *staging.generation),
    };
    int status = STATUS_NO_MEMORY;
    if (staging.free_places != NULL && staging.generation != NULL) {
        status =
            segment_make("cistern-staging", staging.place_bytes * places, false, &staging.segment);
    }
    if (status != STATUS_OK) {
        staging_close(&staging);
        return status;
    }
    for (uint32_t i = 0; i < places; i++) {
        staging.free_places[i] = places - 1 - i;
    }
    *out_staging = staging;
    return STATUS_OK;
}

void staging_close(struct staging *staging)
{
    if (staging == NULL) {
        return;
    }
    segment_close(&staging->segment);
    free(staging->free_places);
    free(staging->generation);
    *staging = (struct staging){.segment = SEGMENT_NONE};
}

bool staging_lend(struct staging *staging, uint32_t *out_place, uint64_t *out_generation)
{
    if (staging->free_count == 0) {
        return false;
    }
    uint32_t place = staging->free_places[--staging->free_count];
    assert(staging->generation[place] % 2 == 0);
    staging->generation[place]++;
    *out_place = place;
    *out_generation = staging->generation[place];
    return true;
}

bool staging_is_lent(const struct staging *staging, uint32_t place, uint64_t generation)
{
    return place < staging->places && generation % 2 == 1 &&
           staging->generation[place] == generation;
}

void staging_home(struct staging *staging, uint32_t place)
{
    assert(place < staging->places && staging->generation[place] % 2 == 1);
    assert(staging->free_count < staging->places);
    staging->generation[place]++;
    staging->free_places[staging->free_count++] = place;
}

const void *staging_at(const struct staging *staging, uint32_t place)
{
    assert(place < staging->places);
    return (const char *)staging->segment.base + place * staging->place_bytes;
}
