/* policy_plan: see policy_plan.h. */
#include "sidecar/block/policy_plan.h"

#include "sidecar/block/policy_adaptive.h"

static float worth_of(const struct policy_plan_view *view, uint32_t row, uint32_t age)
{
    uint32_t class = row % POLICY_HAZARD_CLASSES;
    if (class == POLICY_UNREACHABLE) {
        return -1;
    }
    float worth =
        view->recency ? 1 / ((float)age + 1) : policy_hazard_worth(view->hazard, class, age);
    if (row >= POLICY_HAZARD_CLASSES) {
        return worth * view->weights->fetch;
    }
    worth *= view->weights->compute;
    return view->weights->deeper > 0 ? worth * (1 + view->depths[class] / view->weights->deeper)
                                     : worth;
}

static bool goes_before(const struct policy_plan_step *left, const struct policy_plan_step *right)
{
    return left->worth < right->worth || (left->worth == right->worth && left->age > right->age);
}

uint32_t policy_plan_make(const struct policy_shelf *shelf, const struct policy_plan_view *view,
    uint32_t now, struct policy_plan_step plan[POLICY_PLAN_STEPS])
{
    uint32_t count = 0;
    for (uint8_t row = 0; row < POLICY_SHELF_ROWS; row++) {
        uint64_t filled = shelf->filled[row];
        for (; filled != 0; filled &= filled - 1) {
            uint8_t column = (uint8_t)__builtin_ctzll(filled);
            uint32_t age = now - shelf->ends[row][column].stamp;
            struct policy_plan_step step = {row, column, age, worth_of(view, row, age)};
            if (count == POLICY_PLAN_STEPS && !goes_before(&step, &plan[count - 1])) {
                continue;
            }
            uint32_t at = count < POLICY_PLAN_STEPS ? count++ : count - 1;
            for (; at > 0 && goes_before(&step, &plan[at - 1]); at--) {
                plan[at] = plan[at - 1];
            }
            plan[at] = step;
        }
    }
    return count;
}
