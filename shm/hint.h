/* hint: the table from keys to slots. It is advice: only the descriptor decides.
 *
 * A key has two buckets of eight words. A word is {tag 24 | kind 8 | slot + 1, 32}; 0 is empty. A
 * stale or wrong hint costs a reader time, never bytes, so there are no tombstones and no locks:
 * the server stores whole words, readers load whole words.
 */
#ifndef CISTERN_SHM_HINT_H
#define CISTERN_SHM_HINT_H

#include "shm/layout.h"

#include <stdbool.h>
#include <stdint.h>

#define HINT_HOT 0u /* the slot number is one of this index */
#define HINT_COLD 1u /* the block lies on a lower tier; the number is the tier's */
#define HINT_NONE UINT32_MAX

/* The two buckets of a key; they may be the same one. */
struct hint_place {
    uint32_t bucket[2];
    uint32_t tag; /* 24 bits */
};

static inline struct hint_place hint_place_of(const struct key *key, uint32_t mask)
{
    struct hint_place place = {
        .bucket = {(uint32_t)key->word[0] & mask, (uint32_t)key->word[1] & mask},
        .tag = (uint32_t)(key->word[2] >> 40),
    };
    return place;
}

static inline uint64_t hint_word(uint32_t tag, uint32_t kind, uint32_t slot)
{
    return (uint64_t)tag << 40 | (uint64_t)kind << 32 | (slot + 1u);
}

static inline uint32_t hint_slot(uint64_t word)
{
    return (uint32_t)word - 1u;
}

/* The first bucket alone: it holds nearly all hints (hint_add()). For batches. */
static inline void hint_prefetch_first(
    const struct index_view *index, const struct hint_place *place)
{
    __builtin_prefetch(&index->hints[place->bucket[0]], 0, 3);
}

static inline void hint_prefetch(const struct index_view *index, const struct hint_place *place)
{
    __builtin_prefetch(&index->hints[place->bucket[0]], 0, 3);
    __builtin_prefetch(&index->hints[place->bucket[1]], 0, 3);
}

/* R1: the first candidate at or after position `*position` (0 to 15) with the key's tag and `kind`
 * whose number is in [first, end). Returns it and moves `*position` behind it, or HINT_NONE. Of hot
 * ones such a range may be one memory of the pool: a number says in which tier a slot lies, so no
 * line is read for it. */
static inline uint32_t hint_next_within(const struct index_view *index,
    const struct hint_place *place, uint32_t kind, uint32_t first, uint32_t end, uint32_t *position)
{
    uint64_t wanted = (uint64_t)place->tag << 8 | kind;
    for (uint32_t at = *position; at < 16; at++) {
        const struct hint_bucket *bucket = &index->hints[place->bucket[at / 8]];
        uint64_t word = shared64_load_relaxed(&bucket->word[at % 8]);
        uint32_t slot = hint_slot(word);
        if (word >> 32 != wanted || slot < first || slot >= end) {
            continue; /* an empty word's number is HINT_NONE, above any */
        }
        *position = at + 1;
        return slot;
    }
    *position = 16;
    return HINT_NONE;
}

/* The same, of all numbers; a hot slot is one of ours. */
static inline uint32_t hint_next(const struct index_view *index, const struct hint_place *place,
    uint32_t kind, uint32_t *position)
{
    uint32_t end = kind == HINT_HOT ? index->slots : HINT_NONE;
    return hint_next_within(index, place, kind, 0, end, position);
}

/* The calls below are the server's. */

/* Add a hint to the emptier bucket. Returns false if both are full. */
bool hint_add(const struct index_view *index, const struct key *key, uint32_t kind, uint32_t slot);

/* Take the hint {key, kind, slot} away. Returns false if there is none. */
bool hint_remove(
    const struct index_view *index, const struct key *key, uint32_t kind, uint32_t slot);

#endif
