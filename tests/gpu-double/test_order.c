/* order: under load no worker sees a block before its bytes are there, nor loses one while its
 * stream still reads it; and a worker that does not wait for its stream is found out. */
#include "tests/check.h"
#include "tests/e2e/worker.h"
#include "tests/gpu-double/load.h"

#include "shm/status.h"

#define ROUNDS 2000u
#define WRONG_ROUNDS 300u
#define MOST_NS UINT64_C(20000000000)
#define PIECES 2u

/* The pieces of the blocks in a lane's tensors, the halves of each. */
static void lay_out(const struct load_lane *lane, size_t count, struct cistern_piece *out_pieces)
{
    for (size_t i = 0; i < count * PIECES; i++) {
        out_pieces[i] = (struct cistern_piece){
            .address = load_tensor(lane, i / PIECES) + i % PIECES * (WORKER_BLOCK_BYTES / PIECES),
            .bytes = WORKER_BLOCK_BYTES / PIECES};
    }
}

static int write_behind_the_stream(struct load_worker *worker, struct load_lane *lane,
    struct cistern_slot *slots, uint64_t number, size_t count)
{
    struct cistern_piece pieces[LOAD_BATCH * PIECES];
    struct cistern_key keys[LOAD_BATCH];
    lay_out(lane, count, pieces);
    for (size_t i = 0; i < count; i++) {
        keys[i] = worker_key(number + i);
    }
    return cistern_device_write(
        worker->desk.device, slots, keys, NULL, count, pieces, PIECES, lane->stream.stream);
}

static void check_tensors(
    const struct load_worker *worker, const struct load_lane *lane, uint64_t number, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        load_check(worker, lane, load_tensor(lane, i), number + i);
    }
}

static int read_behind_the_stream(struct load_worker *worker, struct load_lane *lane,
    struct cistern_view *views, uint64_t number, size_t count)
{
    struct cistern_piece pieces[LOAD_BATCH * PIECES];
    lay_out(lane, count, pieces);
    int status =
        cistern_device_read(worker->desk.device, views, count, pieces, PIECES, lane->stream.stream);
    check_tensors(worker, lane, number, count);
    return status;
}

/* Wrong: others see the block as soon as its copy is asked for. */
static int write_before_the_stream(struct load_worker *worker, struct load_lane *lane,
    struct cistern_slot *slots, uint64_t number, size_t count)
{
    int status = CISTERN_OK;
    for (size_t i = 0; i < count && status == CISTERN_OK; i++) {
        struct cistern_key key = worker_key(number + i);
        int result = worker->desk.bed.driver.cuMemcpyDtoHAsync(
            slots[i].data, load_tensor(lane, i), WORKER_BLOCK_BYTES, lane->stream.stream);
        status = driver_status(result);
        status = status == STATUS_OK ? cistern_commit(worker->desk.handle, &slots[i], &key, NULL,
                                           WORKER_BLOCK_BYTES)
                                     : status;
    }
    return status;
}

/* Wrong: the slot may be written again while the stream has yet to read it. */
static int read_before_the_stream(struct load_worker *worker, struct load_lane *lane,
    struct cistern_view *views, uint64_t number, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int result = worker->desk.bed.driver.cuMemcpyHtoDAsync(
            load_tensor(lane, i), views[i].data, WORKER_BLOCK_BYTES, lane->stream.stream);
        if (result != DRIVER_SUCCESS) {
            return driver_status(result);
        }
    }
    check_tensors(worker, lane, number, count);
    return cistern_release(worker->desk.handle, views, count);
}

static void run(
    void **state, const struct load_way *way, uint32_t rounds, struct load_result *out_result)
{
    struct load load = {.daemon = *state,
        .way = way,
        .seed = check_seed(),
        .producers = 2,
        .consumers = 2,
        .rounds = rounds,
        .most_ns = MOST_NS};
    assert_true(load_run(&load, out_result));
    print_message("%llu blocks written, %llu read; wrong: %llu blocks, %llu words\n",
        (unsigned long long)out_result->written, (unsigned long long)out_result->read,
        (unsigned long long)out_result->host_errors, (unsigned long long)out_result->device_errors);
    assert_true(out_result->written > 0);
    assert_true(out_result->read > 0);
}

static void test_under_load_every_block_is_whole_for_as_long_as_it_is_read(void **state)
{
    static const struct load_way way = {
        .write = write_behind_the_stream, .read = read_behind_the_stream};
    struct load_result result;
    run(state, &way, ROUNDS, &result);
    assert_int_equal(result.host_errors, 0);
    assert_int_equal(result.device_errors, 0);
}

static void test_a_commit_before_the_stream_got_there_is_found_out(void **state)
{
    static const struct load_way way = {
        .write = write_before_the_stream, .read = read_behind_the_stream, .is_wrong = true};
    struct load_result result;
    run(state, &way, WRONG_ROUNDS, &result);
    assert_true(result.host_errors > 0);
    assert_true(result.device_errors > 0);
}

static void test_a_release_before_the_stream_got_there_is_found_out(void **state)
{
    static const struct load_way way = {
        .write = write_behind_the_stream, .read = read_before_the_stream, .is_wrong = true};
    struct load_result result;
    run(state, &way, WRONG_ROUNDS, &result);
    assert_int_equal(result.host_errors, 0);
    assert_true(result.device_errors > 0);
}

int main(void)
{
    if (!daemon_is_built() || !bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_under_load_every_block_is_whole_for_as_long_as_it_is_read, daemon_set_up,
            daemon_tear_down),
        cmocka_unit_test_setup_teardown(test_a_commit_before_the_stream_got_there_is_found_out,
            daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(test_a_release_before_the_stream_got_there_is_found_out,
            daemon_set_up, daemon_tear_down),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
