/* pin_cpu: sched_setaffinity for ourselves; children inherit it. */
#include "bench/pin_cpu.h"

#include <sched.h>

static int chosen(int64_t wanted, int automatic)
{
    if (wanted == OPTIONS_CPU_NONE) {
        return -1;
    }
    return wanted == OPTIONS_CPU_AUTO ? automatic : (int)wanted;
}

void pin_cpu_plan(const struct options *options, struct pin_cpu_plan *out_plan)
{
    struct pin_cpu_plan plan = {.server = -1, .client = -1, .second = -1};
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        for (int core = 0; core < CPU_SETSIZE && plan.count < PIN_CPU_MAX; core++) {
            if (CPU_ISSET((size_t)core, &set)) {
                plan.cores[plan.count++] = core;
            }
        }
    }
    bool enough = plan.count >= 2;
    plan.server = chosen(options->cpu_server, enough ? plan.cores[0] : -1);
    plan.client = chosen(options->cpu_client, enough ? plan.cores[plan.count - 1] : -1);
    plan.second = plan.count >= 3 && plan.client >= 0 ? plan.cores[plan.count - 2] : -1;
    *out_plan = plan;
}

bool pin_cpu(int core)
{
    if (core < 0) {
        return true;
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

bool pin_cpu_free(const struct pin_cpu_plan *plan)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < plan->count; i++) {
        CPU_SET((size_t)plan->cores[i], &set);
    }
    return plan->count == 0 || sched_setaffinity(0, sizeof set, &set) == 0;
}
