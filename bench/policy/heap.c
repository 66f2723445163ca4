/* heap: see heap.h. */
#include "bench/policy/heap.h"

#include <assert.h>
#include <stdlib.h>

bool heap_open(struct heap *out_heap, uint32_t blocks)
{
    size_t room = (size_t)blocks + 1;
    struct heap heap = {
        .items = malloc(room * sizeof heap.items[0]),
        .places = malloc(room * sizeof heap.places[0]),
        .priorities = malloc(room * sizeof heap.priorities[0]),
    };
    if (heap.items == NULL || heap.places == NULL || heap.priorities == NULL) {
        heap_close(&heap);
        return false;
    }
    for (uint32_t block = 0; block < blocks; block++) {
        heap.places[block] = HEAP_NONE;
    }
    *out_heap = heap;
    return true;
}

void heap_close(struct heap *heap)
{
    free(heap->items);
    free(heap->places);
    free(heap->priorities);
    *heap = (struct heap){0};
}

static bool is_before(const struct heap *heap, uint32_t left, uint32_t right)
{
    const struct heap_priority *a = &heap->priorities[left];
    const struct heap_priority *b = &heap->priorities[right];
    return a->value < b->value || (a->value <= b->value && a->tie < b->tie);
}

static void put(struct heap *heap, uint32_t place, uint32_t block)
{
    heap->items[place] = block;
    heap->places[block] = place;
}

static void rise(struct heap *heap, uint32_t place)
{
    uint32_t block = heap->items[place];
    while (place > 0 && is_before(heap, block, heap->items[(place - 1) / 2])) {
        put(heap, place, heap->items[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(heap, place, block);
}

static void sink(struct heap *heap, uint32_t place)
{
    uint32_t block = heap->items[place];
    for (;;) {
        uint32_t child = place * 2 + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count &&
            is_before(heap, heap->items[child + 1], heap->items[child])) {
            child++;
        }
        if (!is_before(heap, heap->items[child], block)) {
            break;
        }
        put(heap, place, heap->items[child]);
        place = child;
    }
    put(heap, place, block);
}

void heap_set(struct heap *heap, uint32_t block, struct heap_priority priority)
{
    heap->priorities[block] = priority;
    if (!heap_has(heap, block)) {
        put(heap, heap->count++, block);
    }
    rise(heap, heap->places[block]);
    sink(heap, heap->places[block]);
}

void heap_remove(struct heap *heap, uint32_t block)
{
    uint32_t place = heap->places[block];
    if (place == HEAP_NONE) {
        return;
    }
    assert(heap->count > 0);
    heap->places[block] = HEAP_NONE;
    heap->count--;
    if (place < heap->count) {
        uint32_t moved = heap->items[heap->count];
        put(heap, place, moved);
        rise(heap, place);
        sink(heap, heap->places[moved]);
    }
}
