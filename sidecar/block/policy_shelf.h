/* policy_shelf: leaves in rows, a row for each kind of block, each row cut into segments by age.
 *
 * Called by policy_adaptive. All rows are cut at the same times: a segment begins every `width` of
 * time, and old ones are put together two by two, so that there are at most POLICY_SHELF_LEVEL of
 * each length: a segment is short beside its age. Where a block stands is told by its row and its
 * `stamp` alone. Within a segment blocks are in order, oldest first, as far as they came so.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_SHELF_H
#define CISTERN_SIDECAR_BLOCK_POLICY_SHELF_H

#include "sidecar/block/policy.h"

#include <stdbool.h>
#include <stdint.h>

#define POLICY_SHELF_ROWS 68u
#define POLICY_SHELF_LEVEL 6u
#define POLICY_SHELF_LEVELS 8u
#define POLICY_SHELF_SEGMENTS (POLICY_SHELF_LEVEL * POLICY_SHELF_LEVELS + 1)

struct policy_shelf_ends {
    uint32_t newest;
    uint32_t oldest;
    uint32_t stamp; /* of the oldest */
};

struct policy_shelf {
    uint32_t count; /* segments in use, at least 1 */
    uint32_t starts[POLICY_SHELF_SEGMENTS]; /* newest segment first */
    uint8_t levels[POLICY_SHELF_SEGMENTS]; /* it is 2^level widths long */
    uint8_t places[POLICY_SHELF_SEGMENTS]; /* its column in `ends` */
    uint64_t filled[POLICY_SHELF_ROWS]; /* bit n: column n of the row holds blocks */
    struct policy_shelf_ends ends[POLICY_SHELF_ROWS][POLICY_SHELF_SEGMENTS];
};

void policy_shelf_open(struct policy_shelf *shelf, uint32_t now);

/* A new segment begins. Amortized constant; at most one pass over all rows for each level. */
void policy_shelf_cut(struct policy_shelf *shelf, struct policy_node *nodes, uint32_t now);

/* Put a block, whose stamp is set, at the new end of its segment, or at the old end. */
void policy_shelf_add(struct policy_shelf *shelf, struct policy_node *nodes, uint32_t row,
    uint32_t slot, bool newest);

void policy_shelf_remove(
    struct policy_shelf *shelf, struct policy_node *nodes, uint32_t row, uint32_t slot);

/* The column of the segment that a stamp falls into. */
uint32_t policy_shelf_column(const struct policy_shelf *shelf, uint32_t stamp);

#endif
