/* adopt_order: see adopt_order.h. */
#include "sidecar/block/adopt_order.h"

#include "shm/slot.h"
#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DIGIT_BITS 11u
#define DIGITS (1u << DIGIT_BITS)

struct aged {
    uint64_t serial;
    uint32_t slot;
    uint32_t padding;
};

static bool is_valid(const struct blocks *blocks, uint32_t slot)
{
    return slot_state_of(shared64_load_relaxed(&blocks->index.lines[slot].state)) == SLOT_VALID;
}

/* Returns the highest serial. */
static uint64_t collect(const struct blocks *blocks, uint32_t count, struct aged *out_aged)
{
    uint64_t highest = 0;
    uint32_t found = 0;
    for (uint32_t slot = 0; slot < blocks->index.slots; slot++) {
        if (is_valid(blocks, slot)) {
            uint64_t serial = ledger_serial_of(&blocks->ledger, slot);
            assert(found < count);
            out_aged[found++] = (struct aged){.serial = serial, .slot = slot};
            highest = serial > highest ? serial : highest;
        }
    }
    assert(found == count);
    return highest;
}

/* One pass of a radix sort: by `DIGIT_BITS` bits from `shift` on; keeps the order of equals. */
static void sort_digit(const struct aged *from, struct aged *out_to, uint32_t count, uint32_t shift)
{
    uint32_t start[DIGITS] = {0};
    for (uint32_t i = 0; i < count; i++) {
        start[from[i].serial >> shift & (DIGITS - 1)]++;
    }
    uint32_t sum = 0;
    for (uint32_t i = 0; i < DIGITS; i++) {
        uint32_t size = start[i];
        start[i] = sum;
        sum += size;
    }
    for (uint32_t i = 0; i < count; i++) {
        out_to[start[from[i].serial >> shift & (DIGITS - 1)]++] = from[i];
    }
}

/* The parent that the ledger names, if it is still that very block, of the same class. */
static uint32_t living_parent(const struct blocks *blocks, uint32_t slot, uint32_t class)
{
    uint32_t generation = 0;
    uint32_t parent = ledger_parent_of(&blocks->ledger, slot, &generation);
    if (parent >= blocks->index.slots || parent == slot || !is_valid(blocks, parent) ||
        pool_class_of(&blocks->pool, parent) != class) {
        return POLICY_NONE;
    }
    uint64_t word = shared64_load_relaxed(&blocks->index.lines[parent].state);
    return (uint32_t)slot_generation_of(word) == generation ? parent : POLICY_NONE;
}

/* Tell of a block, and before it of those parents that were not told yet: they wait in a stack
 * through pool.next, which is free for slots in use. `count` bounds a chain that the ledger made a
 * ring; its blocks are told once, and one of them stands alone. */
static void tell(struct blocks *blocks, uint32_t slot, uint32_t count)
{
    uint32_t class = pool_class_of(&blocks->pool, slot);
    struct policy *policy = &blocks->policies[class];
    uint32_t *next = blocks->pool.next;
    uint32_t top = POLICY_NONE;
    for (uint32_t at = slot; at != POLICY_NONE && !policy_resident(policy, at) && count > 0;
         at = living_parent(blocks, at, class)) {
        next[at] = top;
        top = at;
        count--;
    }
    while (top != POLICY_NONE && !policy_resident(policy, top)) {
        uint32_t parent = living_parent(blocks, top, class);
        if (parent != POLICY_NONE && !policy_resident(policy, parent)) {
            parent = POLICY_NONE;
        }
        uint64_t hash = shared64_load_relaxed(&blocks->index.lines[top].key[3]);
        policy_insert(policy, top, hash, parent);
        top = next[top];
    }
}

int adopt_order(struct blocks *blocks, uint32_t count)
{
    struct aged *aged = malloc(2 * ((size_t)count + 1) * sizeof *aged);
    if (aged == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct aged *from = aged;
    struct aged *to = aged + count;
    uint64_t highest = collect(blocks, count, from);
    for (uint32_t shift = 0; shift < 64 && highest >> shift != 0; shift += DIGIT_BITS) {
        sort_digit(from, to, count, shift);
        struct aged *swap = from;
        from = to;
        to = swap;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = from[i].slot;
        struct policy *policy = &blocks->policies[pool_class_of(&blocks->pool, slot)];
        if (!policy_resident(policy, slot)) {
            tell(blocks, slot, count);
        }
        if (ledger_again_of(&blocks->ledger, slot)) {
            policy_touch(policy, slot);
        }
    }
    blocks->ledger.serial = highest;
    free(aged);
    return STATUS_OK;
}
