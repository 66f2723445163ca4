/* evict: takes slots back from the blocks that are least worth keeping.
 *
 * Called by the session layer when a grant finds no slot (evict_room), and by the loop when it is
 * about to sleep or every so many requests (evict_tick). Always: a slot is reused only after the
 * sweep behind the fence found no pin on it, of a lane or of the server itself (hold;
 * shm/README.md, ordering 2; the steps are V1 to V7).
 */
#ifndef CISTERN_SIDECAR_BLOCK_EVICT_H
#define CISTERN_SIDECAR_BLOCK_EVICT_H

#include <stdbool.h>
#include <stdint.h>

#define EVICT_BATCH 128u /* victims that share one fence and one sweep */
#define EVICT_COMING_MAX 256u /* blocks of a class that are looked at ahead of eviction */

struct blocks;
struct pool_class;

/* How to look at all pin records of all lanes, those of the dying too: pin_sweep() for each.
 * Returns how many records named no slot. May be called twice for one batch. */
struct evict_sweep {
    uint32_t (*sweep)(void *context, uint8_t *marks, uint32_t slots);
    void *context;
};

/* Make room for `wanted` more slots in a class; starts to drain an extent of another class of its
 * tier if this class has less than its share. Looks at no more than `wanted` plus a few batches.
 * Returns how many slots became free for this class: fewer if the rest is pinned or lent. */
uint32_t evict_room(
    struct blocks *blocks, uint32_t class, uint32_t wanted, const struct evict_sweep *sweep);

/* Of the blocks that would go next, retire up to `wanted`, a batch at most, that lose nothing by
 * it: they lie on a lower tier, or are not worth a copy; those of a device: host memory or a lower
 * tier has them. Returns how many; 0 if nobody makes copies of what is in this class. */
uint32_t evict_free(
    struct blocks *blocks, uint32_t class, uint64_t wanted, const struct evict_sweep *sweep);

/* Keep a few free slots in every class, and go on with draining; a few batches at most.
 * Returns true if there is more to do at once, false if nothing can be done now. */
bool evict_tick(struct blocks *blocks, const struct evict_sweep *sweep);

/* How many free slots a class should keep for the grants of the next moments: a few percent, and a
 * batch if that is no more than an eighth. */
uint32_t evict_low_mark(const struct pool_class *class);

/* Under so many free slots of a class copies are made of what leaves it next. */
uint32_t evict_high_mark(const struct pool_class *class);

/* Those blocks, first first: as many as there is reason to look at, EVICT_COMING_MAX at most.
 * Returns how many. */
uint32_t evict_coming(
    const struct blocks *blocks, uint32_t class, uint32_t out_slots[EVICT_COMING_MAX]);

/* Retire `count` slots of one class, at most EVICT_BATCH, which the policy gave out as victims:
 * V1 to V7. `forced`: even if a child is resident (its extent drains).
 * Returns how many were freed; the others are back in the policy. */
uint32_t evict_batch(struct blocks *blocks, uint32_t class, const uint32_t *slots, uint32_t count,
    bool forced, const struct evict_sweep *sweep);

#endif
