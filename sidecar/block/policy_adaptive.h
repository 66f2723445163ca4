/* policy_adaptive: what a policy of this kind keeps beside the blocks. See policy_adaptive.c. */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_ADAPTIVE_H
#define CISTERN_SIDECAR_BLOCK_POLICY_ADAPTIVE_H

#include "sidecar/block/policy_hazard.h"
#include "sidecar/block/policy_plan.h"
#include "sidecar/block/policy_referee.h"
#include "sidecar/block/policy_shelf.h"

#include <stdint.h>

#define POLICY_UNREACHABLE (POLICY_HAZARD_CLASSES - 1) /* the class behind a missing block */

/* Filled when the first block comes. */
struct policy_adaptive {
    uint8_t number; /* its place in the memory */
    uint8_t born;
    uint8_t steps; /* of the plan */
    uint8_t step; /* where the plan goes on */
    uint32_t planned; /* victims and blocks that came since the plan was made */
    uint32_t events; /* uses and commits since it learned last */
    uint32_t learn_at; /* events from one learning to the next */
    struct policy_plan_step plan[POLICY_PLAN_STEPS]; /* lowest worth first */
    float depths[POLICY_HAZARD_CLASSES]; /* of blocks of the class, on average */
    struct policy_hazard hazard;
    struct policy_watch_census census;
    struct policy_shelf shelf;
    struct policy_referee *referee; /* NULL while other classes have them all */
};

#endif
