/* policy_plan: which segments of a shelf are worth least, so whose leaves go next.
 *
 * Called by policy_adaptive, for a few victims at a time, and by policy_shadow. A segment is worth
 * what its oldest leaf is: uses to expect, times what a use of such a block saves. What to expect
 * is learned, by class and age; or the less, the older, which is the order of last use.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_PLAN_H
#define CISTERN_SIDECAR_BLOCK_POLICY_PLAN_H

#include "sidecar/block/policy.h"
#include "sidecar/block/policy_shelf.h"

#include <stdint.h>

#define POLICY_PLAN_STEPS 16u

/* Leaves of one row and column of the shelf, and what they are worth. */
struct policy_plan_step {
    uint8_t row;
    uint8_t column;
    uint32_t age;
    float worth;
};

/* How worth is found. Everything is borrowed. */
struct policy_plan_view {
    const struct policy_hazard *hazard;
    const float *depths; /* of blocks of each class, on average */
    const struct policy_weights *weights;
    bool recency; /* by the time of the last use; else as learned */
};

/* Find the segments that are worth least, the older of equals first. Looks at the shelf alone, at
 * no block. Returns how many. */
uint32_t policy_plan_make(const struct policy_shelf *shelf, const struct policy_plan_view *view,
    uint32_t now, struct policy_plan_step plan[POLICY_PLAN_STEPS]);

#endif
