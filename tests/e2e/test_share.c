/* test_share: a block that one process committed is read in place by others, and by nobody
 * changed. */
#include "tests/check.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/gauge.h"
#include "tests/e2e/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCKS 64u

static int commit_blocks(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        worker_put(page, handle, i);
    }
    cistern_close(&handle);
    return 0;
}

static int read_blocks(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    struct cistern_key keys[BLOCKS + 1];
    struct cistern_view views[BLOCKS + 1];
    size_t count = 0;
    for (uint64_t i = 0; i <= BLOCKS; i++) {
        keys[i] = worker_key(i);
    }
    struct cistern_match match = {.size = sizeof match};
    child_need(page, cistern_match(handle, keys, BLOCKS + 1, &match) == CISTERN_OK, "match");
    child_need(page, match.hot == BLOCKS, "%u blocks are hot", match.hot);
    /* 16 pins a thread: the longest prefix that they can hold. */
    int status = cistern_acquire(handle, keys, BLOCKS + 1, views, &count);
    child_need(page, status == CISTERN_OK && count == 16, "acquire: %d, %zu views", status, count);
    for (uint64_t i = 0; i < count; i++) {
        child_need(page, worker_is_right(views[i].data, views[i].bytes, i), "block %llu is wrong",
            (unsigned long long)i);
    }
    child_need(page, cistern_release(handle, views, count) == CISTERN_OK, "release");
    child_need(page, worker_look(page, handle, BLOCKS) == CISTERN_MISS, "a block nobody made");
    cistern_close(&handle);
    return 0;
}

static void test_bytes_of_one_process_are_read_by_another(void **state)
{
    struct gauge gauge;
    assert_true(gauge_open(&gauge, ((struct daemon *)*state)->socket));
    assert_int_equal(child_run(commit_blocks, *state), 0);
    assert_int_equal(child_run(read_blocks, *state), 0);
    assert_int_equal(gauge_get(&gauge, COUNTER_commits), BLOCKS);
    assert_int_equal(gauge_get(&gauge, COUNTER_slots_hot), BLOCKS);
    assert_true(gauge_becomes(&gauge, COUNTER_slots_lent, 0));
    assert_true(gauge_becomes(&gauge, COUNTER_sessions_now, 0));
    assert_int_equal(gauge_get(&gauge, COUNTER_sessions_dead), 0);
    gauge_close(&gauge);
}

/* Two workers at once: the one sees a block while the other, still attached, has committed it. */
static int commit_when_told(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    child_at(page, 1);
    for (uint32_t i = 1; i <= 20; i++) {
        child_await(page, i);
        worker_put(page, handle, i);
        child_at(page, 1 + i);
    }
    cistern_close(&handle);
    return 0;
}

static int look_before_and_after(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    for (uint32_t i = 1; i <= 20; i++) {
        child_need(page, worker_look(page, handle, i) == CISTERN_MISS, "block %u came early", i);
        child_at(page, 2 * i - 1);
        child_await(page, i);
        /* Handled by the sidecar before the parent let us go on: no waiting, no retry. */
        child_need(page, worker_look(page, handle, i) == CISTERN_OK, "block %u is not seen", i);
        child_at(page, 2 * i);
    }
    cistern_close(&handle);
    return 0;
}

static int come_and_go(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    child_at(page, 1);
    child_await(page, 1);
    cistern_close(&handle);
    return 0;
}

/* The sidecar is held meanwhile, so that it finds the goodbye and the end of the process together:
 * whichever it looks at first, nobody died. */
static void test_who_says_goodbye_and_ends_did_not_die(void **state)
{
    const struct daemon *daemon = *state;
    struct gauge gauge;
    struct child child;
    assert_true(gauge_open(&gauge, daemon->socket));
    pid_t server = daemon_server(daemon);
    assert_true(server > 0);
    for (uint64_t i = 1; i <= 20; i++) {
        assert_true(child_start(&child, come_and_go, *state));
        assert_true(child_reaches(&child, 1));
        assert_int_equal(kill(server, SIGSTOP), 0);
        child_let(&child, 1);
        int status = child_end(&child);
        assert_int_equal(kill(server, SIGCONT), 0);
        assert_int_equal(status, 0);
        assert_true(gauge_becomes(&gauge, COUNTER_sessions_now, 0));
        assert_int_equal(gauge_get(&gauge, COUNTER_sessions_closed), i);
    }
    assert_int_equal(gauge_get(&gauge, COUNTER_sessions_dead), 0);
    gauge_close(&gauge);
}

static void test_a_handled_commit_is_visible_at_once(void **state)
{
    struct child writer, reader;
    assert_true(child_start(&writer, commit_when_told, *state));
    assert_true(child_start(&reader, look_before_and_after, *state));
    for (uint32_t i = 1; i <= 20; i++) {
        assert_true(child_reaches(&reader, 2 * i - 1));
        child_let(&writer, i);
        assert_true(child_reaches(&writer, 1 + i));
        child_let(&reader, i);
        assert_true(child_reaches(&reader, 2 * i));
    }
    assert_int_equal(child_end(&reader), 0);
    assert_int_equal(child_end(&writer), 0);
}

/* An isolated worker: reads in place, and a store into a block is a fault of its own. */
static int scribble(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, CISTERN_ISOLATED);
    struct cistern_key key = worker_key(0);
    struct cistern_view view;
    size_t count = 0;
    worker_put(page, handle, 1000); /* through staging */
    worker_find(page, handle, 1000);
    int status = cistern_acquire(handle, &key, 1, &view, &count);
    child_need(page, status == CISTERN_OK, "acquire: %d", status);
    /* Whole pages inside the block, by the calls that would go round a read-only mapping. */
    uintptr_t start = ((uintptr_t)view.data + 4095) / 4096 * 4096;
    uintptr_t end = ((uintptr_t)view.data + view.bytes) / 4096 * 4096;
    child_need(page, mprotect((void *)start, end - start, PROT_READ | PROT_WRITE) != 0,
        "the pool could be made writable");
    child_need(page, madvise((void *)start, end - start, MADV_REMOVE) != 0,
        "holes could be punched into the pool");
    child_need(page, worker_is_right(view.data, view.bytes, 0), "wrong bytes");
    child_at(page, 1);
    *(char *)(uintptr_t)view.data = 1;
    return 0;
}

static void test_isolated_worker_cannot_write_what_it_reads(void **state)
{
    struct child child;
    assert_int_equal(child_run(commit_blocks, *state), 0);
    assert_true(child_start(&child, scribble, *state));
    assert_true(child_reaches(&child, 1));
    int status = child_end(&child);
    /* A sanitizer turns the signal into an exit status of its own. */
    assert_true(status != 0 && status != -1);
    assert_int_equal(child_run(read_blocks, *state), 0);
}

static int see_isolated_block(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    worker_find(page, handle, 77);
    cistern_close(&handle);
    return 0;
}

static int put_isolated(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, CISTERN_ISOLATED);
    worker_put(page, handle, 77);
    cistern_close(&handle);
    return 0;
}

static void test_block_of_an_isolated_worker_is_copied_in(void **state)
{
    struct gauge gauge;
    assert_true(gauge_open(&gauge, ((struct daemon *)*state)->socket));
    assert_int_equal(child_run(put_isolated, *state), 0);
    assert_int_equal(gauge_get(&gauge, COUNTER_bytes_copied), WORKER_BLOCK_BYTES);
    assert_int_equal(child_run(see_isolated_block, *state), 0);
    gauge_close(&gauge);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, daemon_set_up, daemon_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_bytes_of_one_process_are_read_by_another),
        TEST(test_who_says_goodbye_and_ends_did_not_die),
        TEST(test_a_handled_commit_is_visible_at_once),
        TEST(test_isolated_worker_cannot_write_what_it_reads),
        TEST(test_block_of_an_isolated_worker_is_copied_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
