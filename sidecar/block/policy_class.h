/* policy_class: of what kind a block is, so that blocks alike can be learned about together.
 *
 * Called by policy_adaptive. Blocks used once are told apart by how often their conversation had
 * gone on when they came; those used again by how often, and how long they took.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_CLASS_H
#define CISTERN_SIDECAR_BLOCK_POLICY_CLASS_H

#include "sidecar/block/policy.h"

#include <stdint.h>

/* The class of a block whose node is up to date; it was used `gap` uses after the use before. */
uint32_t policy_class_of(const struct policy_node *node, uint64_t gap);

/* Which classes are alike until they are known: those used once, and those used as often as each
 * other, whatever their gap. */
void policy_class_groups(uint8_t groups[POLICY_HAZARD_CLASSES]);

#endif
