/* test_fork: with its parent's handle a forked child gets a clear answer, and does no harm. */
#include "tests/check.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/worker.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every call with a handle that is the parent's. */
static void use_forked(struct child_page *page, cistern_t *handle, struct cistern_view *view,
    struct cistern_slot *slot)
{
    struct cistern_key key = worker_key(1);
    uint32_t tokens[16] = {0};
    static char block[WORKER_BLOCK_BYTES];
    struct cistern_match match = {.size = sizeof match};
    struct cistern_stats stats = {.size = sizeof stats};
    struct cistern_event event;
    struct cistern_view views[1];
    struct cistern_slot slots[1];
    size_t count = 0;
    uint64_t bytes = 0;
    const struct {
        const char *name;
        int status;
    } calls[] = {
        {"keys", cistern_keys(handle, NULL, tokens, 16, &key, &count)},
        {"keys_from_hashes", cistern_keys_from_hashes(handle, tokens, 32, 1, 0, &key)},
        {"match", cistern_match(handle, &key, 1, &match)},
        {"acquire", cistern_acquire(handle, &key, 1, views, &count)},
        {"release", cistern_release(handle, view, 1)},
        {"reserve", cistern_reserve(handle, 1, 0, slots, &count)},
        {"commit", cistern_commit(handle, slot, &key, NULL, 1)},
        {"abort", cistern_abort(handle, slot)},
        {"flush", cistern_flush(handle, 0)},
        {"get", cistern_get(handle, &key, block, sizeof block, &bytes)},
        {"put", cistern_put(handle, &key, NULL, block, sizeof block)},
        {"claim", cistern_claim(handle, &key)},
        {"unclaim", cistern_unclaim(handle, &key)},
        {"wait", cistern_wait(handle, &key, 0)},
        {"wait_async", cistern_wait_async(handle, &key, 0, 1)},
        {"drain", cistern_drain(handle, &event, 1, &count)},
        {"stats", cistern_stats(handle, &stats)},
    };
    for (size_t i = 0; i < CHECK_COUNT(calls); i++) {
        child_need(page, calls[i].status == CISTERN_FORKED, "%s: %s", calls[i].name,
            cistern_status_name(calls[i].status));
    }
    child_need(page, cistern_fd(handle) == -1, "a descriptor");
    cistern_close(&handle);
    child_need(page, handle == NULL, "close leaves the handle");
}

static int fork_with_a_handle(void *context, struct child_page *page)
{
    const char *socket = ((struct daemon *)context)->socket;
    cistern_t *handle = worker_open(page, socket, 0);
    struct cistern_key key = worker_key(1);
    struct cistern_view view;
    struct cistern_slot slot;
    size_t count = 0;
    worker_put(page, handle, 1);
    int status = cistern_acquire(handle, &key, 1, &view, &count);
    child_need(page, status == CISTERN_OK, "acquire: %d", status);
    status = cistern_reserve(handle, 1, WORKER_WAIT_NS, &slot, &count);
    child_need(page, status == CISTERN_OK, "reserve: %d", status);
    pid_t pid = fork();
    child_need(page, pid >= 0, "fork");
    if (pid == 0) {
        use_forked(page, handle, &view, &slot);
        cistern_t *own = worker_open(page, socket, 0);
        worker_find(page, own, 1);
        worker_put(page, own, 2);
        cistern_close(&own);
        exit(0);
    }
    int ended = -1;
    child_need(page, waitpid(pid, &ended, 0) == pid, "waitpid");
    child_need(page, ended == 0, "%s", page->said[0] != '\0' ? page->said : "the child failed");
    /* Nothing of ours went with it. */
    child_need(page, worker_is_right(view.data, view.bytes, 1), "a view changed");
    child_need(page, cistern_release(handle, &view, 1) == CISTERN_OK, "release");
    worker_fill(slot.data, WORKER_BLOCK_BYTES, 3);
    struct cistern_key third = worker_key(3);
    status = cistern_commit(handle, &slot, &third, NULL, WORKER_BLOCK_BYTES);
    child_need(page, status == CISTERN_OK, "commit: %s", cistern_status_name(status));
    worker_find(page, handle, 3);
    worker_find(page, handle, 2);
    cistern_close(&handle);
    return 0;
}

static void test_forked_child_is_told_and_opens_its_own(void **state)
{
    assert_int_equal(child_run(fork_with_a_handle, *state), 0);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_forked_child_is_told_and_opens_its_own, daemon_set_up, daemon_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
