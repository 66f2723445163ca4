/* test_holes: an isolated client can neither cut, nor punch, nor write what it was given to
 * read. */
#include "shm/bell.h"
#include "tests/check.h"
#include "tests/e2e/worker.h"
#include "tests/fault/intruder.h"
#include "tests/fault/scene.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void need_readonly(
    struct child_page *page, const char *what, int fd, const struct segment *segment)
{
    const int modes[] = {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
        FALLOC_FL_COLLAPSE_RANGE, 0};
    for (size_t i = 0; i < CHECK_COUNT(modes); i++) {
        int status = fallocate(fd, modes[i], 0, 4096);
        child_need(page, status != 0 && (errno == EBADF || errno == EPERM || errno == EOPNOTSUPP),
            "%s: fallocate %d: %d", what, modes[i], errno);
    }
    child_need(page, ftruncate(fd, 0) != 0, "%s was cut", what);
    child_need(page, write(fd, "x", 1) < 0 && errno == EBADF, "%s was written", what);
    void *base = mmap(NULL, segment->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    child_need(page, base == MAP_FAILED, "%s was mapped for writing", what);
    child_need(page, mprotect(segment->base, segment->bytes, PROT_READ | PROT_WRITE) != 0,
        "%s became writable", what);
    child_need(page, madvise(segment->base, segment->bytes, MADV_REMOVE) != 0,
        "%s had holes punched by madvise", what);
    child_need(page, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0, "%s was sealed", what);
}

static int punch_isolated(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct hello hello = intruder_hello();
    struct intruder intruder;
    hello.flags = HELLO_ISOLATED;
    intruder_attach(page, &intruder, scene->daemon.socket, &hello);
    need_readonly(page, "pool", intruder.fds[HELLO_FD_POOL], &intruder.pool);
    need_readonly(page, "index", intruder.fds[HELLO_FD_INDEX], &intruder.index);
    need_readonly(page, "server's lane", intruder.fds[HELLO_FD_LANE_SERVER], &intruder.lane_server);
    child_need(page, intruder_fence(&intruder, CHILD_WAIT_NS / 4), "no longer served");
    return 0;
}

static void test_what_is_read_only_stays_as_it_is(void **state)
{
    assert_int_equal(child_run(punch_isolated, *state), 0);
    assert_true(scene_is_unharmed(*state));
}

static int punch_its_own(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct hello hello = intruder_hello();
    struct intruder intruder;
    hello.flags = HELLO_ISOLATED;
    intruder_attach(page, &intruder, scene->daemon.socket, &hello);
    struct reply lent = intruder_borrow(page, &intruder);
    const enum hello_fd own[] = {HELLO_FD_STAGING, HELLO_FD_LANE_CLIENT};
    const uint64_t sizes[] = {intruder.staging.bytes, intruder.lane_client.bytes};
    for (size_t i = 0; i < CHECK_COUNT(own); i++) {
        int fd = intruder.fds[own[i]];
        child_need(page,
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)sizes[i]) == 0,
            "its own memory: %d", errno);
        /* But the size is the sidecar's promise to itself. */
        child_need(page, ftruncate(fd, 0) != 0 && errno == EPERM, "its own memory was cut");
        child_need(page, fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0, "a seal was added");
    }
    /* The server reads the hole: zeros, which are the client's own word. */
    struct lane_client_header *header = intruder.lane_client.base;
    shared32_store_release(&header->seats_used, 1);
    shared32_store_release(&intruder.seat.client->request_tail, 0);
    intruder.requests = lane_request_writer(&intruder.seat);
    bell_ring(intruder.bell);
    (void)lent;
    return 0;
}

static void test_holes_in_its_own_lane_hurt_nobody_else(void **state)
{
    assert_int_equal(child_run(punch_its_own, *state), 0);
    assert_true(scene_is_unharmed(*state));
}

/* Writes to its staging while the sidecar copies from it: its block is its own loss. */
static int scribble_after_commit(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct hello hello = intruder_hello();
    struct intruder intruder;
    hello.flags = HELLO_ISOLATED;
    intruder_attach(page, &intruder, scene->daemon.socket, &hello);
    for (uint64_t i = 0; i < 50; i++) {
        struct reply lent = intruder_borrow(page, &intruder);
        child_need(page, lent.offset + lent.bytes <= intruder.staging.bytes, "outside of staging");
        intruder_send(&intruder, &(struct request){.type = REQUEST_COMMIT,
                                     .slot = lent.slot,
                                     .generation = lent.generation,
                                     .bytes = lent.bytes,
                                     .key = {{i, 9, 9, 9}}});
        for (int round = 0; round < 100; round++) {
            memset((char *)intruder.staging.base + lent.offset, round, lent.bytes);
        }
    }
    child_need(page, intruder_fence(&intruder, CHILD_WAIT_NS / 4), "no longer served");
    return 0;
}

static void test_late_writes_to_staging_hurt_nobody_else(void **state)
{
    assert_int_equal(child_run(scribble_after_commit, *state), 0);
    assert_true(scene_is_unharmed(*state));
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_read_only_stays_as_it_is),
        TEST(test_holes_in_its_own_lane_hurt_nobody_else),
        TEST(test_late_writes_to_staging_hurt_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
