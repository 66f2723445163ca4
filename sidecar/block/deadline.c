/* deadline: see deadline.h. */
#include "sidecar/block/deadline.h"

#include <assert.h>

uint64_t deadline_arena_bytes(uint32_t numbers)
{
    return arena_bytes(numbers, sizeof(uint64_t)) + 2 * arena_bytes(numbers, sizeof(uint32_t));
}

void deadline_open(struct deadlines *deadlines, uint32_t numbers, struct arena *arena)
{
    *deadlines = (struct deadlines){
        .at_ns = arena_take(arena, numbers, sizeof(uint64_t)),
        .place = arena_take(arena, numbers, sizeof(uint32_t)),
        .heap = arena_take(arena, numbers, sizeof(uint32_t)),
        .numbers = numbers,
    };
    for (uint32_t i = 0; i < numbers; i++) {
        deadlines->place[i] = DEADLINE_NONE;
    }
}

static void put(struct deadlines *deadlines, uint32_t place, uint32_t number)
{
    deadlines->heap[place] = number;
    deadlines->place[number] = place;
}

/* Move a number towards the top of the heap, or the bottom, until it is in order. */
static void settle(struct deadlines *deadlines, uint32_t place, uint32_t number)
{
    const uint64_t *at_ns = deadlines->at_ns;
    const uint32_t *heap = deadlines->heap;
    while (place > 0 && at_ns[heap[(place - 1) / 2]] > at_ns[number]) {
        put(deadlines, place, heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child + 1 < deadlines->count && at_ns[heap[child + 1]] < at_ns[heap[child]]) {
            child++;
        }
        if (child >= deadlines->count || at_ns[heap[child]] >= at_ns[number]) {
            break;
        }
        put(deadlines, place, heap[child]);
        place = child;
    }
    put(deadlines, place, number);
}

void deadline_set(struct deadlines *deadlines, uint32_t number, uint64_t at_ns)
{
    assert(number < deadlines->numbers);
    deadlines->at_ns[number] = at_ns;
    uint32_t place = deadlines->place[number];
    if (place == DEADLINE_NONE) {
        place = deadlines->count++;
    }
    settle(deadlines, place, number);
}

void deadline_drop(struct deadlines *deadlines, uint32_t number)
{
    assert(number < deadlines->numbers);
    uint32_t place = deadlines->place[number];
    if (place == DEADLINE_NONE) {
        return;
    }
    assert(deadlines->heap[place] == number);
    deadlines->place[number] = DEADLINE_NONE;
    deadlines->count--;
    uint32_t last = deadlines->heap[deadlines->count];
    if (last != number) {
        settle(deadlines, place, last);
    }
}

uint32_t deadline_first(const struct deadlines *deadlines, uint64_t *out_at_ns)
{
    if (deadlines->count == 0) {
        *out_at_ns = UINT64_MAX;
        return DEADLINE_NONE;
    }
    *out_at_ns = deadlines->at_ns[deadlines->heap[0]];
    return deadlines->heap[0];
}
