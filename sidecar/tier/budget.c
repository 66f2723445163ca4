/* budget: a token bucket. See budget.h for the rules. */
#include "sidecar/tier/budget.h"

#define DAY_NS (UINT64_C(86400) * 1000000000u)
#define HOURS 24 /* of a day: the bucket's size is an hour's worth */
#define MINUTES (24 * 60)
#define BOUND (INT64_C(1) << 62)

void budget_init(struct budget *out_budget, uint64_t bytes_a_day, uint64_t now_ns)
{
    uint64_t bounded = bytes_a_day < (uint64_t)BOUND ? bytes_a_day : (uint64_t)BOUND;
    *out_budget = (struct budget){
        .bytes_a_day = bounded,
        .level = (int64_t)(bounded / MINUTES),
        .filled_ns = now_ns,
    };
}

static void fill(struct budget *budget, uint64_t now_ns)
{
    if (now_ns <= budget->filled_ns) {
        return;
    }
    uint64_t span = now_ns - budget->filled_ns;
    unsigned __int128 share = (unsigned __int128)budget->bytes_a_day * span / DAY_NS;
    if (share == 0) {
        return; /* wait until it is a byte: slow budgets would never fill */
    }
    int64_t most = (int64_t)(budget->bytes_a_day / HOURS);
    most = most < 1 ? 1 : most;
    bool over = share > (unsigned __int128)BOUND || budget->level > most - (int64_t)share;
    budget->level = over ? most : budget->level + (int64_t)share;
    /* What the division left over stays in the span. */
    budget->filled_ns =
        over ? now_ns : budget->filled_ns + (uint64_t)(share * DAY_NS / budget->bytes_a_day);
}

bool budget_allows(struct budget *budget, uint64_t now_ns)
{
    if (budget->bytes_a_day == 0) {
        return true;
    }
    fill(budget, now_ns);
    return budget->level > 0;
}

void budget_take(struct budget *budget, int64_t bytes)
{
    if (budget->bytes_a_day > 0) {
        budget->level -= bytes;
    }
}
