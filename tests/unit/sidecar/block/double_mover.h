/* double_mover: a double of a mover, moved by hand: a copy ends when the test says so, and how.
 *
 * Keeps the rules of sidecar/block/move.h: what was accepted ends once, in any order. From the
 * start on its destination is garbage; a copy that fails leaves it so. Checks that nobody changed
 * the source meanwhile, as the slot is held. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_BLOCK_DOUBLE_MOVER_H
#define CISTERN_TESTS_UNIT_SIDECAR_BLOCK_DOUBLE_MOVER_H

#include "shm/status.h"
#include "sidecar/block/move.h"

#include "tests/check.h"

#include <string.h>

#define MOVER_COPIES 1024u
#define MOVER_DEVICES 2u
#define MOVER_BLOCK 4096u

struct double_move {
    struct move_copy copy;
    unsigned char bytes[MOVER_BLOCK]; /* of the source, at the start */
};

struct double_mover {
    struct mover mover;
    unsigned char *host;
    uint64_t host_bytes;
    unsigned char *device[MOVER_DEVICES];
    uint64_t device_bytes;
    struct double_move copies[MOVER_COPIES]; /* under way, oldest first */
    uint32_t count;
    struct move_done done[MOVER_COPIES]; /* not polled yet */
    uint32_t done_count;
    uint32_t most; /* copies at one time; 0: it refuses all */
    uint32_t starts; /* accepted, ever */
    uint64_t bytes; /* of these, last asked for */
};

static inline unsigned char *mover_host(struct double_mover *mover, const struct move_copy *copy)
{
    assert_true(copy->host_offset + copy->bytes <= mover->host_bytes);
    return mover->host + copy->host_offset;
}

static inline unsigned char *mover_device(struct double_mover *mover, const struct move_copy *copy)
{
    assert_true(copy->device < MOVER_DEVICES);
    assert_true(copy->device_offset + copy->bytes <= mover->device_bytes);
    return mover->device[copy->device] + copy->device_offset;
}

static inline unsigned char *mover_from(struct double_mover *mover, const struct move_copy *copy)
{
    return copy->to_device ? mover_host(mover, copy) : mover_device(mover, copy);
}

static inline unsigned char *mover_to(struct double_mover *mover, const struct move_copy *copy)
{
    return copy->to_device ? mover_device(mover, copy) : mover_host(mover, copy);
}

static inline bool mover_start(void *context, const struct move_copy *copy)
{
    struct double_mover *mover = context;
    if (mover->count >= mover->most) {
        return false;
    }
    assert_true(mover->count < MOVER_COPIES && copy->bytes > 0 && copy->bytes <= MOVER_BLOCK);
    struct double_move *move = &mover->copies[mover->count++];
    move->copy = *copy;
    memcpy(move->bytes, mover_from(mover, copy), copy->bytes);
    memset(mover_to(mover, copy), 0xdb, copy->bytes);
    mover->starts++;
    mover->bytes = copy->bytes;
    return true;
}

static inline uint32_t mover_poll(void *context, struct move_done *out_done, uint32_t room)
{
    struct double_mover *mover = context;
    uint32_t count = mover->done_count < room ? mover->done_count : room;
    memcpy(out_done, mover->done, count * sizeof *out_done);
    mover->done_count -= count;
    memmove(mover->done, mover->done + count, mover->done_count * sizeof *out_done);
    return count;
}

/* Copy `at` of those under way ends. */
static inline void mover_end(struct double_mover *mover, uint32_t at, int status)
{
    assert_true(at < mover->count);
    const struct double_move *move = &mover->copies[at];
    assert_memory_equal(move->bytes, mover_from(mover, &move->copy), move->copy.bytes);
    if (status == STATUS_OK) {
        memcpy(mover_to(mover, &move->copy), move->bytes, move->copy.bytes);
    }
    mover->done[mover->done_count++] =
        (struct move_done){.cookie = move->copy.cookie, .status = status};
    mover->count--;
    memmove(
        &mover->copies[at], &mover->copies[at + 1], (mover->count - at) * sizeof mover->copies[0]);
}

static inline void mover_end_all(struct double_mover *mover, int status)
{
    while (mover->count > 0) {
        mover_end(mover, mover->count - 1, status);
    }
}

#endif
