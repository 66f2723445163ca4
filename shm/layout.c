/* layout: computes and checks the offsets of an index. Called by the server when it makes one and
 * by the client when it maps one; a client believes no offset that does not add up. */
#include "shm/layout.h"

#include "shm/status.h"

#include <assert.h>

static uint32_t buckets_for(uint32_t slots, uint32_t cold_blocks)
{
    /* Twice as many words as hints, so that the load never passes one half: at that load two
     * buckets of eight found room for 1 M random keys without one failure. */
    uint32_t buckets = 16;
    while ((uint64_t)buckets * 8 < ((uint64_t)slots + cold_blocks) * 2) {
        buckets *= 2;
    }
    return buckets;
}

uint64_t layout_index_bytes(uint32_t slots, uint32_t cold_blocks)
{
    uint64_t bytes = LAYOUT_PAGE_BYTES;
    bytes += (uint64_t)buckets_for(slots, cold_blocks) * sizeof(struct hint_bucket);
    bytes += (uint64_t)slots * sizeof(struct slot_line);
    return (bytes + LAYOUT_PAGE_BYTES - 1) / LAYOUT_PAGE_BYTES * LAYOUT_PAGE_BYTES;
}

void layout_index_init(
    void *base, uint32_t slots, uint32_t cold_blocks, uint64_t pool_bytes, uint64_t epoch)
{
    assert(slots > 0 && slots <= LAYOUT_SLOTS_MAX && cold_blocks <= LAYOUT_COLD_MAX);
    assert((uintptr_t)base % LAYOUT_PAGE_BYTES == 0);
    struct index_header *header = base;
    header->magic = LAYOUT_MAGIC;
    header->abi = LAYOUT_ABI;
    header->slots = slots;
    header->cold_blocks = cold_blocks;
    header->index_bytes = layout_index_bytes(slots, cold_blocks);
    header->hint_offset = LAYOUT_PAGE_BYTES;
    header->hint_buckets = buckets_for(slots, cold_blocks);
    header->slot_offset =
        header->hint_offset + (uint64_t)header->hint_buckets * sizeof(struct hint_bucket);
    header->pool_bytes = pool_bytes;
    shared64_store_release(&header->epoch, epoch);
}

int layout_index_view(void *base, uint64_t bytes, struct index_view *out_view)
{
    if (bytes < LAYOUT_PAGE_BYTES) {
        return STATUS_MALFORMED;
    }
    struct index_header *header = base;
    if (header->magic != LAYOUT_MAGIC || header->abi != LAYOUT_ABI) {
        return STATUS_VERSION;
    }
    uint32_t slots = header->slots;
    uint32_t cold = header->cold_blocks;
    if (slots == 0 || slots > LAYOUT_SLOTS_MAX || cold > LAYOUT_COLD_MAX ||
        bytes != layout_index_bytes(slots, cold) || header->index_bytes != bytes ||
        header->hint_buckets != buckets_for(slots, cold) ||
        header->hint_offset != LAYOUT_PAGE_BYTES ||
        header->slot_offset !=
            LAYOUT_PAGE_BYTES + (uint64_t)header->hint_buckets * sizeof(struct hint_bucket)) {
        return STATUS_MALFORMED;
    }
    out_view->header = header;
    out_view->hints = (struct hint_bucket *)(void *)((char *)base + header->hint_offset);
    out_view->lines = (struct slot_line *)(void *)((char *)base + header->slot_offset);
    out_view->slots = slots;
    out_view->hint_mask = header->hint_buckets - 1;
    return STATUS_OK;
}
