/* policy_path: puts together a prompt from uses and commits that come one by one.
 *
 * Owned by policy_referee. A worker touches what it found, deepest block first, so each touch is of
 * the parent of the one before; then it commits the rest from the root on, so the first commit's
 * parent is the deepest that was found, and each other's the commit before. Whatever does not go
 * on so begins a new path: where prompts of several workers cross, they come in pieces, and each
 * piece says what lies above it. Only keys of a sample are kept, chosen by hash.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_PATH_H
#define CISTERN_SIDECAR_BLOCK_POLICY_PATH_H

#include "sidecar/block/policy_shadow.h"

#include <stdbool.h>
#include <stdint.h>

#define POLICY_PATH_MOST 1024u /* keys of one path that were found, and as many that came */

/* A block, as long as it stays in its slot. */
struct policy_path_block {
    uint32_t slot;
    uint32_t use;
};

struct policy_path {
    uint32_t shift; /* one key in 2^shift is in the sample */
    bool open; /* there was a block */
    bool coming; /* the last one came; else it was found */
    struct policy_path_block first; /* the deepest that was found, or the first that came */
    struct policy_path_block last;
    struct policy_path_block top; /* nearest to the root */
    uint32_t found;
    uint32_t came;
    /* Those that were found lie below the middle, each before its child, and those that came lie
     * above it: from the root on. */
    struct policy_shadow_use uses[2 * POLICY_PATH_MOST];
};

/* `shift`: below 32. */
void policy_path_reset(struct policy_path *path, uint32_t shift);

/* Begin another path, with the same sample. */
static inline void policy_path_begin(struct policy_path *path)
{
    path->open = false;
    path->found = 0;
    path->came = 0;
}

/* Does a block that is used now (`came`: by its commit) go on where the path is? */
bool policy_path_goes_on(
    const struct policy_path *path, const struct policy_node *nodes, uint32_t slot, bool came);

/* The block goes on, or is the first. Its node's stamp is set. */
void policy_path_add(struct policy_path *path, const struct policy_node *nodes, uint32_t slot,
    uint8_t class, bool came);

/* The prompt so far; it points into the path, until that begins anew. Returns false if nothing of
 * it is in the sample. */
bool policy_path_take(const struct policy_path *path, const struct policy_node *nodes,
    struct policy_shadow_prompt *out_prompt);

#endif
