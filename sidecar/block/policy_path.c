/* policy_path: see policy_path.h. */
#include "sidecar/block/policy_path.h"

#include "sidecar/block/policy.h"

#include <assert.h>

#define WALK 64u /* ancestors looked at for one in the sample */

/* Other bits than those that choose a watched key, or a bucket. */
static bool is_sampled(const struct policy_path *path, uint32_t key_hash)
{
    uint32_t mixed = key_hash * UINT32_C(0x85ebca6b);
    return path->shift == 0 || mixed >> (32 - path->shift) == 0;
}

void policy_path_reset(struct policy_path *path, uint32_t shift)
{
    assert(shift < 32);
    path->shift = shift;
    policy_path_begin(path);
}

static bool is(struct policy_path_block block, const struct policy_node *nodes, uint32_t slot)
{
    return block.slot == slot && block.use == nodes[slot].use;
}

bool policy_path_goes_on(
    const struct policy_path *path, const struct policy_node *nodes, uint32_t slot, bool came)
{
    if (!path->open || path->found == POLICY_PATH_MOST || path->came == POLICY_PATH_MOST) {
        return false;
    }
    const struct policy_node *node = &nodes[slot];
    if (came) {
        uint32_t parent = node->parent;
        if (parent == POLICY_NONE) {
            /* Its parent came just before, and went at once. */
            return path->coming && node->missing;
        }
        return is(path->coming ? path->last : path->first, nodes, parent);
    }
    /* Only the last one's line, and this one's, are looked at: others may lie far. */
    const struct policy_node *last = &nodes[path->last.slot];
    return !path->coming && last->use == path->last.use && last->parent == slot &&
           last->parent_use == node->use;
}

void policy_path_add(struct policy_path *path, const struct policy_node *nodes, uint32_t slot,
    uint8_t class, bool came)
{
    const struct policy_node *node = &nodes[slot];
    struct policy_path_block block = {.slot = slot, .use = node->use};
    if (!path->open) {
        path->first = block;
    }
    if (!path->open || !came) {
        path->top = block;
    }
    path->last = block;
    path->open = true;
    path->coming = came;
    if (!is_sampled(path, node->key_hash)) {
        return;
    }
    uint32_t at = came ? POLICY_PATH_MOST + path->came : POLICY_PATH_MOST - 1 - path->found;
    path->uses[at] = (struct policy_shadow_use){
        .key_hash = node->key_hash, .stamp = node->stamp, .class = class};
    path->came += came ? 1 : 0;
    path->found += came ? 0 : 1;
}

/* The nearest ancestor in the sample, if it is still here. */
static bool find_above(const struct policy_path *path, const struct policy_node *nodes,
    struct policy_path_block block, uint32_t *out_key_hash)
{
    uint32_t slot = block.slot;
    uint32_t use = block.use;
    for (uint32_t i = 0; i < WALK && slot != POLICY_NONE && nodes[slot].use == use; i++) {
        if (i > 0 && is_sampled(path, nodes[slot].key_hash)) {
            *out_key_hash = nodes[slot].key_hash;
            return true;
        }
        use = nodes[slot].parent_use;
        slot = nodes[slot].parent;
    }
    return false;
}

bool policy_path_take(const struct policy_path *path, const struct policy_node *nodes,
    struct policy_shadow_prompt *out_prompt)
{
    if (path->found + path->came == 0) {
        return false;
    }
    struct policy_shadow_prompt prompt = {
        .uses = &path->uses[POLICY_PATH_MOST - path->found],
        .count = path->found + path->came,
    };
    prompt.has_parent = find_above(path, nodes, path->top, &prompt.parent);
    *out_prompt = prompt;
    return true;
}
