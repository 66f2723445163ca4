/* policy_class: see policy_class.h. */
#include "sidecar/block/policy_class.h"

#include "sidecar/block/policy_adaptive.h"

#include <assert.h>

#define TURN_MOST 4u
#define AGAIN (TURN_MOST + 1) /* the first class of blocks used more than once */
#define GAPS 7u

static_assert(AGAIN + 4 * GAPS == POLICY_UNREACHABLE, "each class has its number");

/* Under 2^9 uses, 2^11, and so on. */
static uint32_t gap_of(uint64_t uses)
{
    uint32_t log = uses < 2 ? 0 : 63 - (uint32_t)__builtin_clzll(uses);
    uint32_t gap = log < 8 ? 0 : (log - 8) / 2;
    return gap < GAPS ? gap : GAPS - 1;
}

uint32_t policy_class_of(const struct policy_node *node, uint64_t gap)
{
    assert(node->uses > 0);
    if (node->uses == 1) {
        return node->turn < TURN_MOST ? node->turn : TURN_MOST;
    }
    uint32_t often = node->uses >= 8 ? 3 : node->uses >= 4 ? 2 : node->uses >= 3 ? 1 : 0;
    return AGAIN + often * GAPS + gap_of(gap);
}

void policy_class_groups(uint8_t groups[POLICY_HAZARD_CLASSES])
{
    for (uint32_t class = 0; class < POLICY_HAZARD_CLASSES; class ++) {
        groups[class] = class < AGAIN ? 0 : (uint8_t)(1 + (class - AGAIN) / GAPS);
    }
}
