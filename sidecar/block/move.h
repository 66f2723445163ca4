/* move: copies of blocks between host memory and the devices: their starts and their ends.
 *
 * Called by move_up and move_down (begin), block/cold on the server's loop (turn), fetch_load
 * (source, join, read) and evict (is_wanted, missed). The bytes are copied by a mover, whose side
 * is sidecar/device: this layer knows numbers alone. Always: the slot that is read is held, and the
 * one that is written is LOADING, from the start of a copy to its done; at most MOVE_COUNT_MAX
 * copies of a device, and MOVE_BYTES_MAX or one block, are under way; who waits for a copy hears of
 * its end, good or bad.
 *
 *   move_up ─▶ begin ─────▶ done ─▶ admit_filled, into the device's class
 *   move_down ─▶ begin ─┬─▶ done ─▶ admit_filled, into the host's ─▶ claims, reads that are queued
 *   fetch_load ─▶ read ─┘    └─▶ fetch_load_moved, if a read of fetch hangs on it
 */
#ifndef CISTERN_SIDECAR_BLOCK_MOVE_H
#define CISTERN_SIDECAR_BLOCK_MOVE_H

#include "shm/slot.h"
#include "sidecar/block/arena.h"
#include "sidecar/block/fetch.h"

#include <stdbool.h>
#include <stdint.h>

#define MOVE_COUNT_MAX 256u /* of a device, at one time */
#define MOVE_BYTES_MAX (UINT64_C(64) << 20) /* of a device, at one time; or one block */
#define MOVE_EVENTS 256u /* taken in one turn */
#define MOVE_LOOK_NS UINT64_C(1000000)

struct blocks;

/* Offsets are from the start of the host pool, and of the device's part of the pool. */
struct move_copy {
    uint64_t cookie;
    uint32_t device;
    bool to_device;
    uint64_t host_offset;
    uint64_t device_offset;
    uint64_t bytes;
};

/* A copy ended. `status` is 0, or STATUS_IO or STATUS_DEVICE_LOST: nothing can be said of the
 * destination's bytes, but nothing writes it any more. */
struct move_done {
    uint64_t cookie;
    int status;
};

/* Who copies. Every copy that was started is reported as done once, in any order. */
struct mover {
    /* On the loop; never waits. False: no room now, or the device is lost; asked again after a
     * done. */
    bool (*start)(void *context, const struct move_copy *copy);
    /* On the loop; never waits. Returns how many ended, `room` at most. */
    uint32_t (*poll)(void *context, struct move_done *out_done, uint32_t room);
    void *context;
};

/* Which touches of host memory by a session with a device bring a block there (move_up). */
enum move_promote { MOVE_SECOND_USE = 0, MOVE_ALWAYS = 1, MOVE_NEVER = 2 };

struct move_entry {
    uint64_t bytes;
    uint32_t from; /* slot, held */
    uint32_t to; /* slot, LOADING */
    uint32_t read; /* of fetch, which publishes it; FETCH_NONE: no read hangs on it */
    uint32_t serial; /* the upper half of its cookie */
    uint32_t next; /* free: the next one */
    uint32_t device;
    bool busy;
    bool claimed; /* waiters of a claim hear of its end */
};

struct move_device {
    uint32_t count; /* under way, up and down */
    uint32_t down; /* of those */
    uint64_t bytes;
};

struct moves {
    struct mover mover; /* `start` NULL: none */
    enum move_promote promote;
    struct move_entry *entries;
    uint32_t entry_count;
    uint32_t free;
    uint32_t serial;
    uint32_t count; /* under way, of all devices */
    /* One a slot. Of host memory: the generation, cut to 32 bits, under which a session with a
     * device touched it first. Of a device: the entry of its copy, while there is one. */
    uint32_t *notes;
    struct move_device devices[SLOT_DEVICES];
    uint64_t looked_ns; /* when what leaves was last looked at */
};

/* Called by blocks_open(). */
uint64_t move_arena_bytes(uint32_t devices, uint32_t slots);
void move_open(struct moves *moves, uint32_t devices, uint32_t slots, struct arena *arena);

/* Copies are made by this one from now on; what its context names stays the caller's. NULL: by
 * nobody, once all that were started are done and were polled (move_idle()). */
void move_attach(struct blocks *blocks, const struct mover *mover);

/* Is no copy under way? */
bool move_idle(const struct blocks *blocks);

/* Does anybody make copies? */
bool move_can(const struct blocks *blocks);

/* Are copies from the device of this tier under way? */
bool move_is_down(const struct blocks *blocks, enum slot_tier tier);

/* Are copies to or from it? */
bool move_is_busy(const struct blocks *blocks, enum slot_tier tier);

/* Has only its device the block in this slot, and could it be copied down? */
bool move_is_wanted(const struct blocks *blocks, uint32_t slot);

/* The block in this slot is about to be dropped: count it if it was the last copy. */
void move_missed(struct blocks *blocks, uint32_t slot);

/* Key, place and the rest of the block in a VALID slot. */
void move_content(const struct blocks *blocks, uint32_t slot, struct slot_content *out_content);

/* Could the device have one more copy of so many bytes under way? */
bool move_has_room(const struct blocks *blocks, uint32_t device, uint64_t bytes);

/* Copy the VALID slot `from`, of which no copy is under way, into a free slot of `class`, of host
 * memory if `from` is a device's, and the reverse. Returns the entry, good until the next turn, or
 * NULL: no free slot, or the copy cannot begin now. */
struct move_entry *move_begin(struct blocks *blocks, uint32_t from, uint32_t class);

/* The copy down of a device's slot, or NULL if none is under way. */
struct move_entry *move_of(struct blocks *blocks, uint32_t from);

/* Of the slots of devices that have the block, one whose copy down is under way, else any, or
 * HINT_NONE; also if nobody makes copies. */
uint32_t move_source(const struct blocks *blocks, const struct key *key, uint16_t space);

/* A read of fetch hangs itself on the copy of the slot that is under way. Returns the LOADING slot,
 * or HINT_NONE: there is no copy. */
uint32_t move_join(struct blocks *blocks, uint32_t from, uint32_t read);

/* Copy the block into a LOADING slot of the read. Returns false if no copy can begin now. */
bool move_read(struct blocks *blocks, uint32_t from, uint32_t to, uint32_t read);

/* What ended, MOVE_EVENTS at most. Returns how many did. */
uint32_t move_turn(struct blocks *blocks, const struct fetch_means *means);

#endif
