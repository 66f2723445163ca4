/* policy_list: two lists in order of age, common to LRU and ARC; and their ghosts.
 *
 * Called through policy_lru and policy_arc by policy. What differs between the two is one small
 * table, struct policy_list_rule; it only moves numbers about.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_LIST_H
#define CISTERN_SIDECAR_BLOCK_POLICY_LIST_H

#include "sidecar/block/policy.h"

#include <stdint.h>

struct policy_list_rule {
    /* A block came; `ghost` is the ghost list that still knew it, or POLICY_NONE. Returns its list.
     * */
    uint32_t (*admit)(struct policy *policy, uint32_t ghost);
    /* A block of `list` was touched. Returns the list where it belongs now. */
    uint32_t (*touch)(const struct policy *policy, uint32_t list);
    /* Returns the list that gives the next victim. */
    uint32_t (*source)(const struct policy *policy);
    /* A block of `list` was evicted. Returns the ghost list that remembers it, or POLICY_NONE. */
    uint32_t (*remember)(const struct policy *policy, uint32_t list);
    /* Returns a ghost list that is too long, or POLICY_NONE; called until it says so. */
    uint32_t (*excess)(const struct policy *policy);
};

/* Operations of struct policy_ops, which names the rule. */
void policy_list_open(struct policy *policy);
void policy_list_came(struct policy *policy, uint32_t slot);
void policy_list_used(struct policy *policy, uint32_t slot);
void policy_list_chosen(struct policy *policy, uint32_t slot);
void policy_list_kept(struct policy *policy, uint32_t slot);
void policy_list_evicted(struct policy *policy, uint32_t slot);
void policy_list_covered(struct policy *policy, uint32_t slot);
void policy_list_bare(struct policy *policy, uint32_t slot);
void policy_list_costs(struct policy *policy, uint32_t slot, enum policy_cost before);
uint32_t policy_list_next(struct policy *policy, uint32_t *passes);
uint32_t policy_list_coming(const struct policy *policy, uint32_t max, uint32_t *out_slots);
void policy_list_resized(struct policy *policy);

#endif
