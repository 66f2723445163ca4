/* slot: the moves of a descriptor. Called by sidecar/block alone, on the server's loop; the one
 * function for readers without a pin is slot_snapshot(). */
#include "shm/slot.h"

#include <assert.h>

bool slot_snapshot(
    const struct slot_line *line, struct slot_content *out_content, uint64_t *out_generation)
{
    uint64_t before = slot_load_state(line);
    if (slot_state_of(before) != SLOT_VALID) {
        return false;
    }
    struct slot_content content;
    for (int i = 0; i < 4; i++) {
        content.key.word[i] = shared64_load_relaxed(&line->key[i]);
    }
    slot_load_place(line, &content);
    /* The words are read before the second look; partner: the fence in slot_publish(). */
    shared_fence_acquire();
    if (shared64_load_relaxed(&line->state) != before) {
        return false;
    }
    *out_content = content;
    *out_generation = slot_generation_of(before);
    return true;
}

uint64_t slot_reserve(struct slot_line *line, enum slot_state state)
{
    assert(state == SLOT_RESERVED || state == SLOT_LOADING);
    uint64_t word = shared64_load_relaxed(&line->state);
    assert(slot_state_of(word) == SLOT_FREE);
    uint64_t generation = slot_generation_of(word) + 1;
    shared64_store_relaxed(&line->state, slot_word(generation, state));
    return generation;
}

uint64_t slot_publish(struct slot_line *line, const struct slot_content *content)
{
    uint64_t word = shared64_load_relaxed(&line->state);
    assert(slot_state_of(word) == SLOT_RESERVED || slot_state_of(word) == SLOT_LOADING);
    assert(content->offset <= SLOT_OFFSET_MAX);
    /* The line is "odd" already; partner: the acquire fence in slot_snapshot(). */
    shared_fence_release();
    for (int i = 0; i < 4; i++) {
        shared64_store_relaxed(&line->key[i], content->key.word[i]);
    }
    shared64_store_relaxed(&line->place,
        content->offset | (uint64_t)content->tier << 48 | (uint64_t)content->flags << 56);
    shared64_store_relaxed(&line->shape,
        content->bytes | (uint64_t)content->space << 32 | (uint64_t)content->size_class << 48);
    shared64_store_relaxed(&line->checksum, content->checksum);
    uint64_t generation = slot_generation_of(word) + 1;
    /* Ordering 1: the words, and the block's bytes, before the state. Partner: R4. */
    shared64_store_release(&line->state, slot_word(generation, SLOT_VALID));
    return generation;
}

void slot_withdraw(struct slot_line *line)
{
    uint64_t word = shared64_load_relaxed(&line->state);
    assert(slot_state_of(word) == SLOT_LOADING);
    shared64_store_relaxed(&line->state, slot_word(slot_generation_of(word) + 1, SLOT_LOADING));
}

void slot_mark(struct slot_line *line)
{
    uint64_t word = shared64_load_relaxed(&line->state);
    assert(slot_state_of(word) == SLOT_VALID);
    shared64_store_relaxed(&line->state, slot_word(slot_generation_of(word), SLOT_EVICTING));
}

void slot_unmark(struct slot_line *line)
{
    uint64_t word = shared64_load_relaxed(&line->state);
    assert(slot_state_of(word) == SLOT_EVICTING);
    shared64_store_release(&line->state, slot_word(slot_generation_of(word), SLOT_VALID));
}

void slot_free(struct slot_line *line)
{
    uint64_t word = shared64_load_relaxed(&line->state);
    assert(slot_state_of(word) != SLOT_FREE && slot_state_of(word) != SLOT_VALID);
    shared64_store_relaxed(&line->state, slot_word(slot_generation_of(word), SLOT_FREE));
}
