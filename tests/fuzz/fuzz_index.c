/* fuzz_index: an index of any bytes: what layout_index_view() accepts can be searched and read. */
#include "tests/fuzz/target.h"

#include "shm/hint.h"
#include "shm/layout.h"
#include "shm/slot.h"
#include "shm/status.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 64u /* as far as the constants go */
#define SLOTS 8u

/* The header's constants, then a hint word and a line for each slot. */
size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room)
{
    static _Alignas(LAYOUT_PAGE_BYTES) uint8_t index[4 * LAYOUT_PAGE_BYTES];
    uint64_t bytes = layout_index_bytes(SLOTS, 0);
    target_must(bytes <= sizeof index && room >= HEADER_BYTES + 4096, "room for a seed");
    memset(index, 0, sizeof index);
    layout_index_init(index, SLOTS, 0, 1 << 20, 1);
    memcpy(out_data, index, HEADER_BYTES);
    for (size_t i = HEADER_BYTES; i < HEADER_BYTES + 4096; i++) {
        out_data[i] = check_random(state) % 4 == 0 ? (uint8_t)check_random(state) : 0;
    }
    return HEADER_BYTES + 4096;
}

static void search(const struct index_view *index, const struct key *key)
{
    struct hint_place place = hint_place_of(key, index->hint_mask);
    hint_prefetch(index, &place);
    for (uint32_t kind = HINT_HOT; kind <= HINT_COLD; kind++) {
        uint32_t position = 0;
        uint32_t steps = 0;
        uint32_t slot;
        while ((slot = hint_next(index, &place, kind, &position)) != HINT_NONE) {
            target_must(++steps <= 16, "a key has sixteen hints at most");
            target_must(kind != HINT_HOT || slot < index->slots, "a hot hint is within the index");
            if (kind == HINT_HOT) {
                (void)slot_holds(&index->lines[slot], key, 1);
            }
        }
    }
}

static void read_lines(const struct index_view *index)
{
    for (uint32_t i = 0; i < index->slots; i++) {
        struct slot_content content;
        uint64_t generation = 0;
        if (slot_snapshot(&index->lines[i], &content, &generation)) {
            uint64_t state = slot_load_state(&index->lines[i]);
            target_must(slot_state_of(state) == SLOT_VALID, "a snapshot is of a valid line");
            target_must(content.offset <= SLOT_OFFSET_MAX, "an offset has 48 bits");
            target_must(slot_generation_of(state) == generation, "the line's generation");
            search(index, &content.key);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct target_input input = {.at = data, .left = bytes};
    /* Exactly as large as a mapping would be, so that a read behind it is seen. */
    uint64_t mapped = layout_index_bytes(SLOTS, 0);
    uint8_t *base = aligned_alloc(LAYOUT_PAGE_BYTES, mapped);
    target_must(base != NULL, "memory");
    memset(base, 0, mapped);
    target_take(&input, base, HEADER_BYTES);
    for (uint64_t at = LAYOUT_PAGE_BYTES; input.left > 0 && at < mapped; at += 512) {
        target_take(&input, base + at, mapped - at < 512 ? mapped - at : 512);
    }
    struct index_view view;
    if (layout_index_view(base, mapped, &view) == STATUS_OK) {
        target_must((const uint8_t *)&view.lines[view.slots] <= base + mapped, "the lines fit");
        target_must(
            (const uint8_t *)&view.hints[view.hint_mask + 1] <= base + mapped, "the hints fit");
        read_lines(&view);
        for (uint32_t i = 0; i < 64; i++) {
            struct key key = {.word = {i, data == NULL ? 0 : i * 7, (uint64_t)i << 40, i}};
            search(&view, &key);
        }
    }
    free(base);
    return 0;
}
