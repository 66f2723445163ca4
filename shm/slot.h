/* slot: the descriptor of a slot, the one line that says what the slot holds.
 *
 * Written by the server (slot_…), read by clients before and after their pins (libclient/get).
 * Always: the content of a VALID line does not change until its state was EVICTING and the sweep
 * found no pin on it (shm/README.md, ordering 2).
 *
 *   FREE ──▶ RESERVED ──▶ VALID ⇄ EVICTING ──▶ FREE        each by the server; LOADING stands
 *                └──▶ FREE  (aborted, or its owner died)    where RESERVED does if a fetch fills
 *
 * The generation rises at every entry into RESERVED or LOADING, when a LOADING slot is withdrawn,
 * and at every publish, so a reference
 * (slot, generation) kept by anybody can never match another use of the slot.
 */
#ifndef CISTERN_SHM_SLOT_H
#define CISTERN_SHM_SLOT_H

#include "shm/layout.h"

#include <stdbool.h>
#include <stdint.h>

enum slot_state {
    SLOT_FREE = 0,
    SLOT_RESERVED = 1, /* lent to a client, which fills it */
    SLOT_LOADING = 2, /* filled by the server itself: a copy from staging, a fetch */
    SLOT_VALID = 3, /* readable */
    SLOT_EVICTING = 4 /* chosen as a victim; may become VALID again, same generation */
};

/* In which memory a block lies. Each device of a host is a tier of its own: the byte in a line is
 * SLOT_TIER_DEVICE for the first, and counts up from there. */
#define SLOT_DEVICES 16u
#define SLOT_TIERS (1u + SLOT_DEVICES)

enum slot_tier { SLOT_TIER_HOST = 0, SLOT_TIER_DEVICE = 1, SLOT_TIER_LAST = SLOT_DEVICES };

static inline enum slot_tier slot_tier_of_device(uint32_t device)
{
    return (enum slot_tier)(SLOT_TIER_DEVICE + device);
}

/* Which device; not of SLOT_TIER_HOST. */
static inline uint32_t slot_device_of(enum slot_tier tier)
{
    return (uint32_t)tier - SLOT_TIER_DEVICE;
}

#define SLOT_CHECKSUM 1u /* flag: `checksum` is the XXH3-64 of the bytes */
#define SLOT_OFFSET_MAX ((UINT64_C(1) << 48) - 1)

/* A descriptor's content in private memory. */
struct slot_content {
    struct key key;
    uint64_t offset; /* bytes from the start of its tier's memory */
    uint64_t checksum; /* see SLOT_CHECKSUM */
    uint32_t bytes;
    uint16_t space; /* number of the namespace */
    uint8_t tier; /* enum slot_tier */
    uint8_t flags;
    uint8_t size_class;
};

static inline enum slot_state slot_state_of(uint64_t word)
{
    return (enum slot_state)(word & 0xff);
}

static inline uint64_t slot_generation_of(uint64_t word)
{
    return word >> 8;
}

static inline uint64_t slot_word(uint64_t generation, enum slot_state state)
{
    return generation << 8 | (uint64_t)state;
}

/* R4: the state, before anything else of the line is believed. Partner: slot_publish(). */
static inline uint64_t slot_load_state(const struct slot_line *line)
{
    return shared64_load_acquire(&line->state);
}

/* R5: does the line hold this key of this namespace? Relaxed: after R4, or advice. */
static inline bool slot_holds(const struct slot_line *line, const struct key *key, uint16_t space)
{
    uint64_t differs = shared64_load_relaxed(&line->key[0]) ^ key->word[0];
    differs |= shared64_load_relaxed(&line->key[1]) ^ key->word[1];
    differs |= shared64_load_relaxed(&line->key[2]) ^ key->word[2];
    differs |= shared64_load_relaxed(&line->key[3]) ^ key->word[3];
    differs |= (shared64_load_relaxed(&line->shape) >> 32 & 0xffff) ^ space;
    return differs == 0;
}

/* R5: in which memory does the block lie? Relaxed: after R4, or advice. */
static inline enum slot_tier slot_tier_of(const struct slot_line *line)
{
    return (enum slot_tier)(shared64_load_relaxed(&line->place) >> 48 & 0xff);
}

/* R5: all but the key; after R4 said VALID and while a pin stands. */
static inline void slot_load_place(const struct slot_line *line, struct slot_content *out_content)
{
    uint64_t place = shared64_load_relaxed(&line->place);
    uint64_t shape = shared64_load_relaxed(&line->shape);
    out_content->offset = place & SLOT_OFFSET_MAX;
    out_content->tier = (uint8_t)(place >> 48);
    out_content->flags = (uint8_t)(place >> 56);
    out_content->bytes = (uint32_t)shape;
    out_content->space = (uint16_t)(shape >> 32);
    out_content->size_class = (uint8_t)(shape >> 48);
    out_content->checksum = shared64_load_relaxed(&line->checksum);
}

/* Read a whole line without a pin (statistics, debugging): a seqlock whose version is the state.
 * Returns true and sets the outputs if the line was VALID and did not change meanwhile. */
bool slot_snapshot(
    const struct slot_line *line, struct slot_content *out_content, uint64_t *out_generation);

/* The calls below are the server's. */

/* Move a slot into RESERVED or LOADING, under a new generation.
 * Returns the generation, which goes out with the grant. The slot must be FREE. */
uint64_t slot_reserve(struct slot_line *line, enum slot_state state);

/* V8 and V9: fill a RESERVED or LOADING line and make it VALID. Returns the new generation. */
uint64_t slot_publish(struct slot_line *line, const struct slot_content *content);

/* V2 for a LOADING line of which readers were told (REPLY_PART) and that will not be published: a
 * new generation, under which nobody takes it; pin_sweep() follows, then slot_free(). */
void slot_withdraw(struct slot_line *line);

/* V2: mark a VALID line as a victim; pin_sweep() follows, once a batch. */
void slot_mark(struct slot_line *line);

/* V6: a victim turned out pinned. */
void slot_unmark(struct slot_line *line);

/* Make a slot FREE: a victim after the sweep, or a grant that came home. */
void slot_free(struct slot_line *line);

#endif
