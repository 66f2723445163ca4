/* policy_shelf: see policy_shelf.h. */
#include "sidecar/block/policy_shelf.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static_assert(POLICY_SHELF_SEGMENTS <= 64, "`filled` has a bit for each");

void policy_shelf_open(struct policy_shelf *shelf, uint32_t now)
{
    memset(shelf->filled, 0, sizeof shelf->filled);
    shelf->count = 1;
    shelf->starts[0] = now;
    shelf->levels[0] = 0;
    for (uint32_t i = 0; i < POLICY_SHELF_SEGMENTS; i++) {
        shelf->places[i] = (uint8_t)i;
    }
    for (uint32_t row = 0; row < POLICY_SHELF_ROWS; row++) {
        for (uint32_t i = 0; i < POLICY_SHELF_SEGMENTS; i++) {
            shelf->ends[row][i] = (struct policy_shelf_ends){POLICY_NONE, POLICY_NONE, 0};
        }
    }
}

/* Move all of one column behind the new end of an older one. */
static void join(
    struct policy_shelf *shelf, struct policy_node *nodes, uint32_t row, uint32_t from, uint32_t to)
{
    struct policy_shelf_ends *newer = &shelf->ends[row][from];
    struct policy_shelf_ends *older = &shelf->ends[row][to];
    if (newer->oldest == POLICY_NONE) {
        return;
    }
    if (older->newest == POLICY_NONE) {
        *older = *newer;
    } else {
        nodes[older->newest].newer = newer->oldest;
        nodes[newer->oldest].older = older->newest;
        older->newest = newer->newest;
    }
    *newer = (struct policy_shelf_ends){POLICY_NONE, POLICY_NONE, 0};
    shelf->filled[row] &= ~(UINT64_C(1) << from);
    shelf->filled[row] |= UINT64_C(1) << to;
}

/* Segment `at` goes into the one before it in time, at + 1; its column is free then. */
static void merge(struct policy_shelf *shelf, struct policy_node *nodes, uint32_t at)
{
    uint8_t place = shelf->places[at];
    for (uint32_t row = 0; row < POLICY_SHELF_ROWS; row++) {
        join(shelf, nodes, row, place, shelf->places[at + 1]);
    }
    if (shelf->levels[at + 1] + 1u < POLICY_SHELF_LEVELS) {
        shelf->levels[at + 1]++;
    }
    shelf->count--;
    uint32_t behind = shelf->count - at;
    memmove(&shelf->starts[at], &shelf->starts[at + 1], behind * sizeof shelf->starts[0]);
    memmove(&shelf->levels[at], &shelf->levels[at + 1], behind * sizeof shelf->levels[0]);
    memmove(&shelf->places[at], &shelf->places[at + 1], behind * sizeof shelf->places[0]);
    shelf->places[shelf->count] = place;
}

void policy_shelf_cut(struct policy_shelf *shelf, struct policy_node *nodes, uint32_t now)
{
    uint32_t end = 0; /* behind the last segment of the level */
    for (uint8_t level = 0; level < POLICY_SHELF_LEVELS; level++) {
        uint32_t begin = end;
        while (end < shelf->count && shelf->levels[end] == level) {
            end++;
        }
        if (end - begin < POLICY_SHELF_LEVEL) {
            break;
        }
        /* The two oldest become one; it is the newest of the next level. */
        end -= 2;
        merge(shelf, nodes, end);
    }
    assert(shelf->count < POLICY_SHELF_SEGMENTS);
    uint8_t place = shelf->places[shelf->count];
    memmove(&shelf->starts[1], &shelf->starts[0], shelf->count * sizeof shelf->starts[0]);
    memmove(&shelf->levels[1], &shelf->levels[0], shelf->count * sizeof shelf->levels[0]);
    memmove(&shelf->places[1], &shelf->places[0], shelf->count * sizeof shelf->places[0]);
    /* From the next moment on: what was stamped in this one stays in the segment before. */
    shelf->starts[0] = now + 1;
    shelf->levels[0] = 0;
    shelf->places[0] = place;
    shelf->count++;
}

uint32_t policy_shelf_column(const struct policy_shelf *shelf, uint32_t stamp)
{
    /* Ages, not times, are compared: time may wrap. */
    uint32_t age = shelf->starts[0] - stamp;
    if ((int32_t)age <= 0) {
        return shelf->places[0];
    }
    uint32_t low = 0; /* too young */
    uint32_t high = shelf->count - 1; /* old enough, or the oldest that there is */
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (shelf->starts[0] - shelf->starts[middle] >= age) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return shelf->places[high];
}

void policy_shelf_add(
    struct policy_shelf *shelf, struct policy_node *nodes, uint32_t row, uint32_t slot, bool newest)
{
    uint32_t column = policy_shelf_column(shelf, nodes[slot].stamp);
    struct policy_shelf_ends *list = &shelf->ends[row][column];
    nodes[slot].newer = newest ? POLICY_NONE : list->oldest;
    nodes[slot].older = newest ? list->newest : POLICY_NONE;
    if (list->oldest == POLICY_NONE) {
        list->newest = list->oldest = slot;
        list->stamp = nodes[slot].stamp;
        shelf->filled[row] |= UINT64_C(1) << column;
    } else if (newest) {
        nodes[list->newest].newer = slot;
        list->newest = slot;
    } else {
        nodes[list->oldest].older = slot;
        list->oldest = slot;
        list->stamp = nodes[slot].stamp;
    }
}

void policy_shelf_remove(
    struct policy_shelf *shelf, struct policy_node *nodes, uint32_t row, uint32_t slot)
{
    const struct policy_node *node = &nodes[slot];
    uint32_t column = policy_shelf_column(shelf, node->stamp);
    struct policy_shelf_ends *list = &shelf->ends[row][column];
    assert(list->oldest != POLICY_NONE);
    if (node->newer != POLICY_NONE) {
        nodes[node->newer].older = node->older;
    } else {
        assert(list->newest == slot);
        list->newest = node->older;
    }
    if (node->older != POLICY_NONE) {
        nodes[node->older].newer = node->newer;
    } else {
        assert(list->oldest == slot);
        list->oldest = node->newer;
        if (node->newer != POLICY_NONE) {
            list->stamp = nodes[node->newer].stamp;
        } else {
            shelf->filled[row] &= ~(UINT64_C(1) << column);
        }
    }
}
