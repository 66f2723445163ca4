/* ways: see ways.h. */
#include "tests/gpu-double/ways.h"

static void make_keys(uint64_t number, size_t count, struct cistern_key *out_keys)
{
    for (size_t i = 0; i < count; i++) {
        out_keys[i] = worker_key(number + i);
    }
}

static int commit_behind_the_stream(struct load_worker *worker, struct load_lane *lane,
    struct cistern_slot *slots, uint64_t number, size_t count)
{
    struct cistern_key keys[LOAD_BATCH];
    make_keys(number, count, keys);
    return cistern_device_commit(
        worker->desk.device, slots, keys, NULL, count, WORKER_BLOCK_BYTES, lane->stream.stream);
}

static int commit_before_the_stream(struct load_worker *worker, struct load_lane *lane,
    struct cistern_slot *slots, uint64_t number, size_t count)
{
    struct cistern_key keys[LOAD_BATCH];
    int status = CISTERN_OK;
    (void)lane;
    make_keys(number, count, keys);
    for (size_t i = 0; i < count && status == CISTERN_OK; i++) {
        status = cistern_commit(worker->desk.handle, &slots[i], &keys[i],
            i == 0 ? NULL : &keys[i - 1], WORKER_BLOCK_BYTES);
    }
    return status;
}

/* What is not on the device is copied into the lane, and checked there. */
static int read_copy(struct load_worker *worker, struct load_lane *lane, struct cistern_view *view,
    uint64_t number, size_t at)
{
    struct cistern_piece piece = {.address = load_tensor(lane, at), .bytes = WORKER_BLOCK_BYTES};
    int status = cistern_device_read(worker->desk.device, view, 1, &piece, 1, lane->stream.stream);
    load_check(worker, lane, piece.address, number);
    return status;
}

/* Put the check of a block in place into the stream; false: it has to be copied. */
static bool check_in_place(struct load_worker *worker, const struct load_lane *lane,
    const struct cistern_view *view, uint64_t number)
{
    if (view->tier != CISTERN_TIER_DEVICE) {
        return false;
    }
    load_check(worker, lane, (uint64_t)(uintptr_t)view->data, number);
    worker->in_place++;
    return true;
}

static int release_behind_the_stream(struct load_worker *worker, struct load_lane *lane,
    struct cistern_view *views, uint64_t number, size_t count)
{
    int status = CISTERN_OK;
    for (size_t i = 0; i < count && status == CISTERN_OK; i++) {
        status =
            check_in_place(worker, lane, &views[i], number + i)
                ? cistern_device_release(worker->desk.device, &views[i], 1, lane->stream.stream)
                : read_copy(worker, lane, &views[i], number + i, i);
    }
    return status;
}

static int release_before_the_stream(struct load_worker *worker, struct load_lane *lane,
    struct cistern_view *views, uint64_t number, size_t count)
{
    int status = CISTERN_OK;
    for (size_t i = 0; i < count && status == CISTERN_OK; i++) {
        status = check_in_place(worker, lane, &views[i], number + i)
                     ? cistern_release(worker->desk.handle, &views[i], 1)
                     : read_copy(worker, lane, &views[i], number + i, i);
    }
    return status;
}

const struct load_way ways_in_place = {
    .write = commit_behind_the_stream, .read = release_behind_the_stream, .in_place = true};

const struct load_way ways_committed_too_early = {.write = commit_before_the_stream,
    .read = release_behind_the_stream,
    .in_place = true,
    .is_wrong = true};

const struct load_way ways_released_too_early = {.write = commit_behind_the_stream,
    .read = release_before_the_stream,
    .in_place = true,
    .is_wrong = true};
