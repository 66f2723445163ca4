/* layout: the index as two processes see it: header, hint table, slot descriptors.
 *
 *   index segment           written by the server alone, mapped read-only by clients
 *   ┌────────────┬───────────────────────────┬──────────────────────────────┐
 *   │ header 4 K │ hint table, 64-byte lines │ slot descriptors, 64 B a slot │
 *   └────────────┴───────────────────────────┴──────────────────────────────┘
 *
 * Everything is fixed-width and found by offset; there are no pointers. A change of anything here
 * or in lane.h changes LAYOUT_ABI.
 */
#ifndef CISTERN_SHM_LAYOUT_H
#define CISTERN_SHM_LAYOUT_H

#include "shm/atomic.h"
#include "shm/counter.h"

#include <stddef.h>
#include <stdint.h>

#define LAYOUT_ABI 3u
#define LAYOUT_MAGIC UINT64_C(0x314e524554534943) /* "CISTERN1", little-endian */
#define LAYOUT_PAGE_BYTES 4096u
#define LAYOUT_LINE_BYTES 64u
#define LAYOUT_SLOTS_MAX (UINT32_C(1) << 30)
#define LAYOUT_COLD_MAX (UINT32_C(1) << 30)

/* One 32-byte key as four words, first byte lowest. */
struct key {
    uint64_t word[4];
};

/* Written by the server. All but `epoch`, `server_sleeping` and the counters is constant
 * after it is made. */
struct index_header {
    uint64_t magic;
    uint32_t abi;
    uint32_t slots; /* descriptors, hence slot numbers 0 to slots - 1 */
    uint64_t index_bytes;
    uint64_t hint_offset;
    uint64_t slot_offset;
    uint64_t pool_bytes;
    uint32_t hint_buckets; /* a power of two */
    uint32_t
        cold_blocks; /* blocks of lower tiers that the hint table has room for beside the slots */
    /* Raised when the server stops or a successor takes over; a client compares it with the epoch
     * of its attach, after its fence (ordering 2). */
    _Atomic uint64_t epoch;

    /* Alone on two lines: a sleep number, odd while the server sleeps (bell.h). */
    _Alignas(128) _Atomic uint32_t server_sleeping;
    uint32_t sleeping_padding[31];

    /* Read by any tool; a word each, stored relaxed. */
    _Alignas(128) _Atomic uint64_t counter[COUNTER_ROOM];
};

/* Eight hint words; see hint.h. */
struct hint_bucket {
    _Alignas(64) _Atomic uint64_t word[8];
};

/* What a slot holds; see slot.h. The only authority on it. */
struct slot_line {
    _Alignas(64) _Atomic uint64_t state; /* generation << 8 | enum slot_state */
    _Atomic uint64_t key[4];
    _Atomic uint64_t place; /* offset 48 | tier 8 | flags 8 */
    _Atomic uint64_t shape; /* bytes 32 | namespace 16 | class 8 | zero 8 */
    _Atomic uint64_t checksum; /* XXH3-64 of the bytes when SLOT_CHECKSUM is set, else 0 */
};

static_assert(sizeof(struct key) == 32, "a key is 32 bytes");
static_assert(sizeof(struct hint_bucket) == 64, "a bucket is one cache line");
static_assert(sizeof(struct slot_line) == 64, "a descriptor is one cache line");
static_assert(offsetof(struct slot_line, key) == 8, "the key follows the state");
static_assert(offsetof(struct slot_line, place) == 40, "then where the bytes are");
static_assert(offsetof(struct index_header, epoch) == 56, "the epoch shares the constants' line");
static_assert(offsetof(struct index_header, server_sleeping) == 128, "alone on its lines");
static_assert(offsetof(struct index_header, counter) == 256, "counters follow");
static_assert(sizeof(struct index_header) <= LAYOUT_PAGE_BYTES, "the header is one page");

/* The index as one process maps it: addresses are this process's own. */
struct index_view {
    struct index_header *header;
    struct hint_bucket *hints;
    struct slot_line *lines;
    uint32_t slots;
    uint32_t hint_mask; /* buckets - 1 */
};

/* Bytes of an index for `slots` slots and the hints of `cold_blocks` blocks of lower tiers: twice
 * as many hint words as both. */
uint64_t layout_index_bytes(uint32_t slots, uint32_t cold_blocks);

/* Write the constants of a fresh, zeroed index at `base`; by the server, once. */
void layout_index_init(
    void *base, uint32_t slots, uint32_t cold_blocks, uint64_t pool_bytes, uint64_t epoch);

/* Check a mapped index of `bytes` and fill `out_view`.
 * Returns 0, STATUS_VERSION for another ABI, STATUS_MALFORMED if sizes and offsets disagree. */
int layout_index_view(void *base, uint64_t bytes, struct index_view *out_view);

#endif
