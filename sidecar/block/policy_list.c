/* policy_list: see policy_list.h. */
#include "sidecar/block/policy_list.h"

#include <assert.h>

void policy_list_open(struct policy *policy)
{
    for (uint32_t i = 0; i < POLICY_LISTS; i++) {
        policy->lists[i] = (struct policy_list){.newest = POLICY_NONE, .oldest = POLICY_NONE};
        ghost_list_open(&policy->ghosts[i]);
    }
}

static void trim_ghosts(struct policy *policy)
{
    /* Bounded: each turn drops one of at most `capacity` ghosts; after an insertion or an eviction
     * there is at most one too many in each list. */
    uint32_t list;
    while ((list = policy->ops->rule->excess(policy)) != POLICY_NONE) {
        ghost_drop_oldest(&policy->memory->ghosts, &policy->ghosts[list]);
    }
}

void policy_list_resized(struct policy *policy)
{
    if (policy->target > policy->capacity) {
        policy->target = policy->capacity;
    }
    trim_ghosts(policy);
}

static void link_newest(struct policy *policy, uint32_t slot)
{
    struct policy_node *nodes = policy->memory->nodes;
    struct policy_list *list = &policy->lists[nodes[slot].list];
    nodes[slot].newer = POLICY_NONE;
    nodes[slot].older = list->newest;
    nodes[slot].place = POLICY_LISTED;
    if (list->newest != POLICY_NONE) {
        nodes[list->newest].newer = slot;
    } else {
        list->oldest = slot;
    }
    list->newest = slot;
}

static void link_oldest(struct policy *policy, uint32_t slot)
{
    struct policy_node *nodes = policy->memory->nodes;
    struct policy_list *list = &policy->lists[nodes[slot].list];
    nodes[slot].older = POLICY_NONE;
    nodes[slot].newer = list->oldest;
    nodes[slot].place = POLICY_LISTED;
    if (list->oldest != POLICY_NONE) {
        nodes[list->oldest].older = slot;
    } else {
        list->newest = slot;
    }
    list->oldest = slot;
}

/* Take a block out of its list's chain; its list's count stays. Parked ones are in no chain. */
static void unlink_node(struct policy *policy, uint32_t slot)
{
    struct policy_node *nodes = policy->memory->nodes;
    struct policy_node *node = &nodes[slot];
    if (node->place != POLICY_LISTED) {
        assert(node->place == POLICY_PARKED);
        return;
    }
    struct policy_list *list = &policy->lists[node->list];
    if (node->newer != POLICY_NONE) {
        nodes[node->newer].older = node->older;
    } else {
        list->newest = node->older;
    }
    if (node->older != POLICY_NONE) {
        nodes[node->older].newer = node->newer;
    } else {
        list->oldest = node->newer;
    }
}

void policy_list_came(struct policy *policy, uint32_t slot)
{
    struct policy_node *node = &policy->memory->nodes[slot];
    uint32_t ghost =
        ghost_take(&policy->memory->ghosts, policy->ghosts, POLICY_LISTS, node->key_hash);
    node->reused = ghost != GHOST_NONE;
    node->list = (uint8_t)policy->ops->rule->admit(policy, ghost);
    policy->lists[node->list].count++;
    link_newest(policy, slot);
    trim_ghosts(policy);
}

void policy_list_used(struct policy *policy, uint32_t slot)
{
    struct policy_node *node = &policy->memory->nodes[slot];
    uint32_t list = policy->ops->rule->touch(policy, node->list);
    if (list == node->list && policy->lists[list].newest == slot) {
        return;
    }
    unlink_node(policy, slot);
    policy->lists[node->list].count--;
    node->list = (uint8_t)list;
    policy->lists[list].count++;
    link_newest(policy, slot);
}

void policy_list_chosen(struct policy *policy, uint32_t slot)
{
    const struct policy_node *node = &policy->memory->nodes[slot];
    /* Where its ghost will lie; it arrives while the batch is swept. */
    ghost_prefetch(&policy->memory->ghosts, node->key_hash);
    unlink_node(policy, slot);
    policy->lists[node->list].count--;
}

void policy_list_kept(struct policy *policy, uint32_t slot)
{
    policy->lists[policy->memory->nodes[slot].list].count++;
    link_newest(policy, slot);
}

void policy_list_evicted(struct policy *policy, uint32_t slot)
{
    const struct policy_node *node = &policy->memory->nodes[slot];
    uint32_t list = policy->ops->rule->remember(policy, node->list);
    if (list != POLICY_NONE && policy->capacity > 0) {
        ghost_add(&policy->memory->ghosts, &policy->ghosts[list], node->key_hash);
    }
    trim_ghosts(policy);
}

void policy_list_covered(struct policy *policy, uint32_t slot)
{
    /* It is parked when its turn comes, not before: its place among the others stays. */
    (void)policy;
    (void)slot;
}

void policy_list_bare(struct policy *policy, uint32_t slot)
{
    /* Its turn was long ago: it is the next victim. */
    link_oldest(policy, slot);
}

void policy_list_costs(struct policy *policy, uint32_t slot, enum policy_cost before)
{
    /* Neither LRU nor ARC asks what a block costs. */
    (void)policy;
    (void)slot;
    (void)before;
}

/* The oldest block of a list that has no resident child; those that have are parked on the way.
 * POLICY_NONE if the list has no more, or `*passes` are used up. */
static uint32_t pick(struct policy *policy, uint32_t list, uint32_t *passes)
{
    struct policy_node *nodes = policy->memory->nodes;
    for (;;) {
        uint32_t slot = policy->lists[list].oldest;
        if (slot == POLICY_NONE || nodes[slot].children == 0) {
            return slot;
        }
        if (*passes == 0) {
            return POLICY_NONE;
        }
        (*passes)--;
        unlink_node(policy, slot);
        nodes[slot].place = POLICY_PARKED;
    }
}

uint32_t policy_list_next(struct policy *policy, uint32_t *passes)
{
    uint32_t list = policy->ops->rule->source(policy);
    uint32_t slot = pick(policy, list, passes);
    return slot != POLICY_NONE ? slot : pick(policy, (list + 1) % POLICY_LISTS, passes);
}

/* Add the block, and each parent that would come to the old end behind it: parked ones whose last
 * child it is. Returns the new count. */
static uint32_t add_coming(
    const struct policy *policy, uint32_t slot, uint32_t count, uint32_t max, uint32_t *out_slots)
{
    const struct policy_node *nodes = policy->memory->nodes;
    out_slots[count++] = slot;
    while (count < max) {
        uint32_t parent = policy_parent(policy, slot);
        if (parent == POLICY_NONE || nodes[parent].place != POLICY_PARKED ||
            nodes[parent].children != 1) {
            break;
        }
        out_slots[count++] = parent;
        slot = parent;
    }
    return count;
}

uint32_t policy_list_coming(const struct policy *policy, uint32_t max, uint32_t *out_slots)
{
    const struct policy_node *nodes = policy->memory->nodes;
    uint32_t first = policy->ops->rule->source(policy);
    uint32_t looks = max * POLICY_COMING_LOOKS;
    uint32_t count = 0;
    for (uint32_t i = 0; i < POLICY_LISTS; i++) {
        uint32_t slot = policy->lists[(first + i) % POLICY_LISTS].oldest;
        for (; slot != POLICY_NONE && count < max && looks > 0; slot = nodes[slot].newer) {
            looks--;
            /* Touched deepest first, a parent stands right behind its child. */
            bool last_child = nodes[slot].children == 1 && count > 0 &&
                              policy_parent(policy, out_slots[count - 1]) == slot;
            if (nodes[slot].children == 0 || last_child) {
                count = add_coming(policy, slot, count, max, out_slots);
            }
        }
    }
    return count;
}
