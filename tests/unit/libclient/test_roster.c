/* test_roster: a forked child cannot harm its parent, and works with a handle of its own. */
#include "libclient/core.h"
#include "tests/unit/libclient/bed.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_CHECK(condition) \
    do { \
        if (!(condition)) { \
            (void)fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, cistern_why()); \
            _exit(1); \
        } \
    } while (0)

static void wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void check_all_forked(struct bed *bed, struct cistern_view *view, struct cistern_slot *slot)
{
    struct cistern_match match = {.size = sizeof match};
    struct cistern_stats stats = {.size = sizeof stats};
    struct cistern_view fresh;
    struct cistern_slot fresh_slot;
    struct cistern_event event;
    struct cistern_key key;
    uint32_t tokens[BED_TOKENS] = {0};
    char data[64];
    uint64_t bytes;
    size_t count;
    cistern_t *handle = bed->handle;
    CHILD_CHECK(cistern_match(handle, bed->keys, 1, &match) == CISTERN_FORKED);
    CHILD_CHECK(cistern_acquire(handle, bed->keys, 1, &fresh, &count) == CISTERN_FORKED);
    CHILD_CHECK(cistern_release(handle, view, 1) == CISTERN_FORKED);
    CHILD_CHECK(cistern_reserve(handle, 1, 0, &fresh_slot, &count) == CISTERN_FORKED);
    CHILD_CHECK(cistern_commit(handle, slot, bed->keys, NULL, 1) == CISTERN_FORKED);
    CHILD_CHECK(cistern_abort(handle, slot) == CISTERN_FORKED);
    CHILD_CHECK(cistern_flush(handle, 0) == CISTERN_FORKED);
    CHILD_CHECK(cistern_get(handle, bed->keys, data, sizeof data, &bytes) == CISTERN_FORKED);
    CHILD_CHECK(cistern_put(handle, bed->keys, NULL, data, sizeof data) == CISTERN_FORKED);
    CHILD_CHECK(cistern_claim(handle, bed->keys) == CISTERN_FORKED);
    CHILD_CHECK(cistern_unclaim(handle, bed->keys) == CISTERN_FORKED);
    CHILD_CHECK(cistern_wait(handle, bed->keys, 0) == CISTERN_FORKED);
    CHILD_CHECK(cistern_wait_async(handle, bed->keys, 0, 1) == CISTERN_FORKED);
    CHILD_CHECK(cistern_drain(handle, &event, 1, &count) == CISTERN_FORKED);
    CHILD_CHECK(cistern_stats(handle, &stats) == CISTERN_FORKED);
    CHILD_CHECK(cistern_keys(handle, NULL, tokens, BED_TOKENS, &key, &count) == CISTERN_FORKED);
    CHILD_CHECK(cistern_keys_from_hashes(handle, tokens, 16, 1, 0, &key) == CISTERN_FORKED);
    CHILD_CHECK(cistern_fd(handle) == -1);
}

static void a_child_cannot_use_or_harm_its_parents_handle(void **state)
{
    struct bed *bed = *state;
    uint32_t pinned = double_add(&bed->server, bed->keys, 1, 64);
    struct cistern_view view;
    struct cistern_slot slot;
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_OK);
    assert_int_equal(cistern_reserve(bed->handle, 1, 10 * BED_SECOND, &slot, &count), CISTERN_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        check_all_forked(bed, &view, &slot);
        /* Something lies where the parent's lane is: closing must not unmap it. */
        void *lane = bed->handle->current->client;
        CHILD_CHECK(mmap(lane, 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == lane);
        cistern_close(&bed->handle);
        memset(lane, 1, 4096);
        CHILD_CHECK(bed->handle == NULL);
        _exit(0);
    }
    wait_for(child);
    assert_true(double_is_pinned(&bed->server, pinned));
    (void)pthread_mutex_lock(&bed->server.lock);
    bool heard = bed->server.goodbye_heard;
    (void)pthread_mutex_unlock(&bed->server.lock);
    assert_false(heard);
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
    assert_int_equal(cistern_commit(bed->handle, &slot, &bed->keys[1], NULL, 8), CISTERN_OK);
    bed_flush(bed);
    struct cistern_match match = {.size = sizeof match};
    assert_int_equal(cistern_match(bed->handle, bed->keys, 2, &match), CISTERN_OK);
    assert_int_equal(match.hot, 2);
}

static void a_child_opens_a_handle_of_its_own(void **state)
{
    struct bed *bed = *state;
    (void)double_add(&bed->server, bed->keys, 1, 64);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct cistern_view view;
        size_t count;
        cistern_t *handle = NULL;
        /* The parent's double answers: its thread runs there. */
        CHILD_CHECK(cistern_open(&bed->options, &handle) == CISTERN_OK);
        CHILD_CHECK(cistern_acquire(handle, bed->keys, 1, &view, &count) == CISTERN_OK);
        CHILD_CHECK(((const uint8_t *)view.data)[63] == 1);
        CHILD_CHECK(cistern_acquire(bed->handle, bed->keys, 1, &view, &count) == CISTERN_FORKED);
        cistern_close(&bed->handle);
        cistern_close(&handle);
        _exit(0);
    }
    wait_for(child);
}

/* Not by fork(): no handler of the library runs, only the kernel knows. */
static void a_bare_clone_is_found_out_too(void **state)
{
    struct bed *bed = *state;
    struct cistern_match match = {.size = sizeof match};
    assert_int_equal(cistern_match(bed->handle, bed->keys, 1, &match), CISTERN_OK);
    long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    assert_true(child >= 0);
    if (child == 0) {
        CHILD_CHECK(cistern_match(bed->handle, bed->keys, 1, &match) == CISTERN_FORKED);
        _exit(0);
    }
    wait_for((pid_t)child);
}

/* End the child when the thread that forked has ended, destructors and all. */
static void *join_then_end(void *argument)
{
    CHILD_CHECK(pthread_join(*(pthread_t *)argument, NULL) == 0);
    _exit(0);
}

static void *fork_in_a_thread(void *argument)
{
    struct bed *bed = argument;
    struct cistern_match match = {.size = sizeof match};
    assert_int_equal(cistern_match(bed->handle, bed->keys, 1, &match), CISTERN_OK);
    pid_t child = fork();
    if (child == 0) {
        static pthread_t forked;
        pthread_t other;
        forked = pthread_self();
        cistern_close(&bed->handle);
        CHILD_CHECK(pthread_create(&other, NULL, join_then_end, &forked) == 0);
        pthread_exit(NULL);
    }
    wait_for(child);
    return NULL;
}

static void a_forked_thread_may_end_after_the_close(void **state)
{
    struct bed *bed = *state;
    pthread_t thread;
    (void)fflush(stdout);
    assert_int_equal(pthread_create(&thread, NULL, fork_in_a_thread, bed), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
#ifdef CISTERN_TSAN
    (void)printf(
        "skipped: ThreadSanitizer does not follow a process of several threads that forks\n");
    return CHECK_SKIP;
#endif
    const struct CMUnitTest tests[] = {
        TEST(a_child_cannot_use_or_harm_its_parents_handle),
        TEST(a_child_opens_a_handle_of_its_own),
        TEST(a_bare_clone_is_found_out_too),
        TEST(a_forked_thread_may_end_after_the_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
