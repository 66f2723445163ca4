/* policy_plan: which segments of the shelf are worth least, so whose leaves go next.
 *
 * Called by policy_adaptive, for a few victims at a time. A segment is worth what its oldest leaf
 * is: uses to expect, by class and age, times what a use of such a block saves.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_PLAN_H
#define CISTERN_SIDECAR_BLOCK_POLICY_PLAN_H

#include "sidecar/block/policy.h"

#include <stdint.h>

#define POLICY_PLAN_STEPS 16u

/* Leaves of one row and column of the shelf, and what they are worth. */
struct policy_plan_step {
    uint8_t row;
    uint8_t column;
    float worth;
};

/* Find the segments that are worth least, the older of equals first. Looks at the shelf alone, at
 * no block. Returns how many. */
uint32_t policy_plan_make(
    const struct policy *policy, uint32_t now, struct policy_plan_step plan[POLICY_PLAN_STEPS]);

#endif
