/* policy_lru: the block that was not used for longest goes first: one list, no ghosts.
 *
 * The plain reference beside policy_arc. Called by policy_list. With touches deepest
 * block first it evicts what a radix tree's "least recently used leaf" would.
 */
#include "sidecar/block/policy_list.h"

static uint32_t admit(struct policy *policy, uint32_t ghost)
{
    (void)policy;
    (void)ghost;
    return 0;
}

static uint32_t touch(const struct policy *policy, uint32_t list)
{
    (void)policy;
    return list;
}

static uint32_t source(const struct policy *policy)
{
    (void)policy;
    return 0;
}

static uint32_t remember(const struct policy *policy, uint32_t list)
{
    (void)policy;
    (void)list;
    return POLICY_NONE;
}

static uint32_t excess(const struct policy *policy)
{
    (void)policy;
    return POLICY_NONE;
}

static const struct policy_list_rule rule = {
    .admit = admit,
    .touch = touch,
    .source = source,
    .remember = remember,
    .excess = excess,
};

const struct policy_ops policy_lru = {
    .name = "lru",
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
