/* policy_lru: the block that was not used for longest goes first: one list, no ghosts.
 *
 * The plain reference beside policy_arc. Called through policy_lru by policy. With touches deepest
 * block first it evicts what a radix tree's "least recently used leaf" would.
 */
#include "sidecar/block/policy.h"

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

const struct policy_ops policy_lru = {
    .name = "lru",
    .admit = admit,
    .touch = touch,
    .source = source,
    .remember = remember,
    .excess = excess,
};
