/* Both engines: bytes arrive, what is cut short is continued or said, a ring ends a wait. */
#include "sidecar/tier/disk.h"

#include "shm/status.h"
#include "sidecar/moment.h"

#include "tests/unit/sidecar/tier/folder.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define BYTES (UINT64_C(32) << 20)
#define OPS 64u
#define WAIT_NS INT64_C(20000000000)

struct world {
    struct folder folder;
    int file;
    int wake_fd;
    uint8_t *memory;
    struct disk *disk;
    char why[512];
};

static void begin(struct world *world, void **state)
{
    char path[256];
    const struct disk_ops *engine = *state;
    folder_open(&world->folder);
    folder_file(&world->folder, "file", path);
    world->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(world->file >= 0);
    assert_int_equal(ftruncate(world->file, (off_t)BYTES), 0);
    world->wake_fd = eventfd(0, EFD_CLOEXEC);
    world->memory =
        mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(world->wake_fd >= 0 && world->memory != MAP_FAILED);
    struct disk_options options = {.fd = world->file,
        .wake_fd = world->wake_fd,
        .depth = 16,
        .pool = world->memory,
        .pool_bytes = BYTES, /* the second half is not known to the kernel: plain transfers */
        .staging = world->memory + 2 * BYTES - 65536,
        .staging_bytes = 65536};
    int status = engine->open(&options, &world->disk, world->why, sizeof world->why);
    printf("%s: %s\n", engine->name, world->why);
    if (status == STATUS_UNSUPPORTED) {
        skip();
    }
    assert_int_equal(status, STATUS_OK);
}

static void end(struct world *world)
{
    world->disk->ops->close(world->disk);
    (void)munmap(world->memory, 2 * BYTES);
    (void)close(world->wake_fd);
    (void)close(world->file);
    folder_close(&world->folder);
}

/* Wait until `count` operations are back. */
static void finish(struct world *world, uint32_t count)
{
    uint64_t until_ns = moment_ns() + (uint64_t)WAIT_NS;
    while (count > 0) {
        assert_true(moment_ns() < until_ns);
        world->disk->ops->wait(world->disk, WAIT_NS);
        while (world->disk->ops->next(world->disk) != NULL) {
            assert_true(count > 0);
            count--;
        }
    }
}

static void test_what_was_written_is_read(void **state)
{
    struct world world;
    struct disk_op op[OPS];
    uint64_t seed = 0;
    begin(&world, state);
    seed = check_seed();
    uint64_t bytes = BYTES / OPS;
    for (uint64_t i = 0; i < BYTES; i += 8) {
        uint64_t word = check_random(&seed);
        memcpy(world.memory + i, &word, 8);
    }
    for (uint32_t i = 0; i < OPS; i++) {
        op[i] = (struct disk_op){.kind = i % 2 == 0 ? DISK_WRITE : DISK_WRITE_THROUGH,
            .offset = i * bytes,
            .bytes = bytes,
            .data = world.memory + i * bytes};
        world.disk->ops->start(world.disk, &op[i]);
        world.disk->ops->submit(world.disk);
    }
    finish(&world, OPS);
    struct disk_op sync = {.kind = DISK_SYNC};
    world.disk->ops->start(world.disk, &sync);
    finish(&world, 1);
    assert_int_equal(sync.result, 0);
    struct disk_op all = {/* larger than is asked for at once: continued */
        .kind = DISK_READ,
        .bytes = BYTES - 65536,
        .data = world.memory + BYTES};
    world.disk->ops->start(world.disk, &all);
    finish(&world, 1);
    assert_int_equal(all.result, 0);
    for (uint32_t i = 0; i < OPS; i++) {
        assert_int_equal(op[i].result, 0);
    }
    assert_memory_equal(world.memory, world.memory + BYTES, BYTES - 65536);
    end(&world);
}

static void test_the_end_of_the_file_is_an_error(void **state)
{
    struct world world;
    begin(&world, state);
    struct disk_op op[] = {
        {.kind = DISK_READ, .offset = BYTES - 4096, .bytes = 8192, .data = world.memory},
        {.kind = DISK_READ, .offset = BYTES, .bytes = 4096, .data = world.memory + 8192},
    };
    for (uint32_t i = 0; i < CHECK_COUNT(op); i++) {
        world.disk->ops->start(world.disk, &op[i]);
    }
    finish(&world, CHECK_COUNT(op));
    assert_int_equal(op[0].result, -ENODATA); /* a short one is continued until there is no more */
    assert_int_equal(op[1].result, -ENODATA);
    end(&world);
}

static void test_an_error_is_a_result(void **state)
{
    struct world world;
    begin(&world, state);
    struct disk_op op = {
        .kind = DISK_READ, .offset = UINT64_MAX / 2 + 4097, .bytes = 4096, .data = world.memory};
    world.disk->ops->start(world.disk, &op);
    finish(&world, 1);
    assert_true(op.result < 0);
    end(&world);
}

static void test_a_ring_ends_a_wait(void **state)
{
    struct world world;
    begin(&world, state);
    uint64_t one = 1;
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t begun_ns = moment_ns();
        assert_int_equal(write(world.wake_fd, &one, sizeof one), sizeof one);
        world.disk->ops->wait(world.disk, WAIT_NS);
        assert_null(world.disk->ops->next(world.disk));
        assert_true(moment_ns() - begun_ns < (uint64_t)WAIT_NS);
    }
    end(&world);
}

int main(void)
{
    const struct disk_ops *engines[] = {&disk_uring, &disk_threads};
    int failures = 0;
    for (uint32_t i = 0; i < CHECK_COUNT(engines); i++) {
        union { /* cmocka hands a plain pointer through */
            const struct disk_ops *engine;
            void *state;
        } given = {.engine = engines[i]};
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(test_what_was_written_is_read, given.state),
            cmocka_unit_test_prestate(test_the_end_of_the_file_is_an_error, given.state),
            cmocka_unit_test_prestate(test_an_error_is_a_result, given.state),
            cmocka_unit_test_prestate(test_a_ring_ends_a_wait, given.state),
        };
        failures += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failures == 0 ? 0 : 1;
}
