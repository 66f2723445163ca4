/* policy_plan: see policy_plan.h. */
#include "sidecar/block/policy_plan.h"

#include "sidecar/block/policy_adaptive.h"

static float worth_of(const struct policy *policy, uint32_t row, uint32_t age)
{
    const struct policy_adaptive *own = policy->adaptive;
    const struct policy_weights *weights = &policy->memory->weights;
    uint32_t class = row % POLICY_HAZARD_CLASSES;
    if (class == POLICY_UNREACHABLE) {
        return -1;
    }
    float worth = policy_hazard_worth(&own->hazard, class, age);
    if (row >= POLICY_HAZARD_CLASSES) {
        return worth * weights->fetch;
    }
    worth *= weights->compute;
    return weights->deeper > 0 ? worth * (1 + own->depths[class] / weights->deeper) : worth;
}

uint32_t policy_plan_make(
    const struct policy *policy, uint32_t now, struct policy_plan_step plan[POLICY_PLAN_STEPS])
{
    const struct policy_shelf *shelf = &policy->adaptive->shelf;
    uint32_t count = 0;
    for (uint32_t i = shelf->count; i-- > 0;) {
        uint8_t column = shelf->places[i];
        for (uint8_t row = 0; row < POLICY_SHELF_ROWS; row++) {
            if ((shelf->filled[row] >> column & 1) == 0) {
                continue;
            }
            float worth = worth_of(policy, row, now - shelf->ends[row][column].stamp);
            if (count == POLICY_PLAN_STEPS && plan[count - 1].worth <= worth) {
                continue;
            }
            uint32_t at = count < POLICY_PLAN_STEPS ? count++ : count - 1;
            for (; at > 0 && plan[at - 1].worth > worth; at--) {
                plan[at] = plan[at - 1];
            }
            plan[at] = (struct policy_plan_step){.row = row, .column = column, .worth = worth};
        }
    }
    return count;
}
