/* policy_arc: blocks used once and blocks used again compete, and ghosts say who should have more.
 *
 * Called by policy_list. Source: Megiddo and Modha, "ARC: a self-tuning, low overhead
 * replacement cache", FAST 2003: T1 and T2 are the lists ONCE and AGAIN, B1 and B2 their ghosts, p
 * is `target`. It differs in two points. Victims are chosen before the newcomer is known, so that a
 * commit never waits for an eviction; `target` moves after the eviction, not before. And ONCE keeps
 * an eighth of the capacity whatever `target` says: room is made ahead of need, so with a target of
 * 0 the next victim would be the block that was committed a moment ago, which its prefix's next
 * turn, or the worker that waits for it, is about to read.
 */
#include "sidecar/block/policy_list.h"

#define ONCE 0u
#define AGAIN 1u
#define KEPT 8u /* a part of the capacity that ONCE always has */

/* By how much one hit in a ghost list moves the target: more, the rarer that list is. */
static uint32_t step(const struct policy *policy, uint32_t hit)
{
    /* The hit ghost was taken from its list already. */
    uint32_t mine = policy->ghosts[hit].count + 1;
    uint32_t other = policy->ghosts[1 - hit].count;
    return other > mine ? other / mine : 1;
}

static uint32_t admit(struct policy *policy, uint32_t ghost)
{
    if (ghost == ONCE) {
        uint32_t room = policy->capacity - policy->target;
        uint32_t more = step(policy, ONCE);
        policy->target += more < room ? more : room;
        return AGAIN;
    }
    if (ghost == AGAIN) {
        uint32_t less = step(policy, AGAIN);
        policy->target -= less < policy->target ? less : policy->target;
        return AGAIN;
    }
    return ONCE;
}

static uint32_t touch(const struct policy *policy, uint32_t list)
{
    (void)policy;
    (void)list;
    return AGAIN;
}

static uint32_t source(const struct policy *policy)
{
    uint32_t once = policy->lists[ONCE].count;
    uint32_t kept = policy->capacity / KEPT;
    uint32_t least = policy->target > kept ? policy->target : kept;
    return once > least || policy->lists[AGAIN].count == 0 ? ONCE : AGAIN;
}

static uint32_t remember(const struct policy *policy, uint32_t list)
{
    (void)policy;
    return list;
}

static uint32_t excess(const struct policy *policy)
{
    uint32_t once = policy->ghosts[ONCE].count;
    uint32_t again = policy->ghosts[AGAIN].count;
    /* |T1| + |B1| <= c; and no more ghosts than slots, which is |T1| + |T2| + |B1| + |B2| <= 2c. */
    if (once > 0 && policy->lists[ONCE].count + once > policy->capacity) {
        return ONCE;
    }
    if (once + again > policy->capacity) {
        return again > 0 ? AGAIN : ONCE;
    }
    return POLICY_NONE;
}

static const struct policy_list_rule rule = {
    .admit = admit,
    .touch = touch,
    .source = source,
    .remember = remember,
    .excess = excess,
};

const struct policy_ops policy_arc = {
    .name = "arc",
    .rule = &rule,
    .open = policy_list_open,
    .came = policy_list_came,
    .used = policy_list_used,
    .chosen = policy_list_chosen,
    .kept = policy_list_kept,
    .evicted = policy_list_evicted,
    .covered = policy_list_covered,
    .bare = policy_list_bare,
    .costs = policy_list_costs,
    .next = policy_list_next,
    .coming = policy_list_coming,
    .resized = policy_list_resized,
};
