/* ledger: sizes and checks of the segment. See ledger.h. */
#include "sidecar/block/ledger.h"

#include "shm/status.h"

#include <assert.h>
#include <stddef.h>

#define LEDGER_MAGIC UINT64_C(0x314744454c534943) /* "CISLEDG1", little-endian */
#define LEDGER_VERSION 1u

static_assert(sizeof(struct ledger_head) <= LAYOUT_PAGE_BYTES, "the head is one page");

/* Where the entries begin: on a line of their own. */
static uint64_t entries_offset(uint64_t extents)
{
    uint64_t words = extents * sizeof(uint64_t);
    return LAYOUT_PAGE_BYTES +
           (words + LAYOUT_LINE_BYTES - 1) / LAYOUT_LINE_BYTES * LAYOUT_LINE_BYTES;
}

uint64_t ledger_bytes(uint32_t slots, uint64_t extents)
{
    uint64_t bytes = entries_offset(extents) + (uint64_t)slots * sizeof(struct ledger_entry);
    return (bytes + LAYOUT_PAGE_BYTES - 1) / LAYOUT_PAGE_BYTES * LAYOUT_PAGE_BYTES;
}

void ledger_init(void *base, uint32_t slots, uint64_t extents)
{
    assert((uintptr_t)base % LAYOUT_PAGE_BYTES == 0 && slots > 0 && slots <= LAYOUT_SLOTS_MAX);
    struct ledger_head *head = base;
    head->magic = LEDGER_MAGIC;
    head->version = LEDGER_VERSION;
    head->slots = slots;
    head->extents = extents;
}

int ledger_view(
    void *base, uint64_t bytes, uint32_t slots, uint64_t extents, struct ledger *out_ledger)
{
    if (base == NULL) {
        *out_ledger = (struct ledger){0};
        return STATUS_OK;
    }
    struct ledger_head *head = base;
    if (bytes < LAYOUT_PAGE_BYTES || head->magic != LEDGER_MAGIC ||
        head->version != LEDGER_VERSION || head->slots != slots || head->extents != extents ||
        bytes != ledger_bytes(slots, extents)) {
        return STATUS_MALFORMED;
    }
    char *at = base;
    *out_ledger = (struct ledger){
        .head = head,
        .classes = (_Atomic uint64_t *)(void *)(at + LAYOUT_PAGE_BYTES),
        .entries = (struct ledger_entry *)(void *)(at + entries_offset(extents)),
    };
    return STATUS_OK;
}
