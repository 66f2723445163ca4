/* What may lie where the nvme tier wants its file, and what may be done to it while it is in use:
 * each is a status, a sentence with a remedy, a miss; never a wrong byte, never a hang. */
#include "shm/status.h"
#include "sidecar/moment.h"
#include "sidecar/tier/nvme_format.h"

#include "tests/unit/sidecar/tier/nvme_world.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define BLOCK 65536u
#define NAME "cistern.tier"

static void refuses(struct nvme_world *world, int status, const char *sentence)
{
    assert_int_equal(nvme_world_start(world, NULL), status);
    if (strstr(world->why, sentence) == NULL || strstr(world->why, "remedy: ") == NULL) {
        fail_msg("'%s' names neither '%s' nor a remedy", world->why, sentence);
    }
}

static void test_what_is_not_ours_is_refused_and_left_alone(void **state)
{
    static const char text[] = "somebody's diary";
    struct nvme_world world;
    char path[256];
    char back[sizeof text];
    (void)state;
    nvme_world_open(&world);
    folder_write(&world.folder, NAME, text, sizeof text, 0600);
    refuses(&world, STATUS_INVALID, "no file of ours");
    folder_file(&world.folder, NAME, path);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(file, back, sizeof back), sizeof text);
    assert_memory_equal(back, text, sizeof text);
    (void)close(file);
    (void)unlink(path);
    assert_int_equal(symlink("/dev/null", path), 0);
    refuses(&world, STATUS_IO, "symbolic link");
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(nvme_world_start(&world, NULL) != STATUS_OK);
    (void)unlink(path);
    world.options.directories[0] = "/nonexistent";
    refuses(&world, STATUS_IO, "make the directory");
    nvme_world_close(&world);
}

static void test_another_format_is_refused_with_a_remedy(void **state)
{
    struct nvme_world world;
    struct nvme_format_page page;
    (void)state;
    nvme_world_open(&world);
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    nvme_world_stop(&world);
    int file = nvme_world_file(&world);
    assert_int_equal(pread(file, &page, sizeof page, 0), sizeof page);
    page.version = 9;
    assert_int_equal(pwrite(file, &page, sizeof page, 0), sizeof page);
    refuses(&world, STATUS_VERSION, "has format 9");
    page.version = NVME_FORMAT_VERSION;
    page.region_bytes ^= 1;
    assert_int_equal(pwrite(file, &page, sizeof page, 0), sizeof page);
    refuses(&world, STATUS_INVALID, "damaged");
    (void)close(file);
    nvme_world_close(&world);
}

static void test_another_size_is_made_anew(void **state)
{
    struct nvme_world world;
    (void)state;
    nvme_world_open(&world);
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    assert_int_equal(nvme_world_put(&world, 1, BLOCK), STATUS_OK);
    nvme_world_stop(&world);
    world.options.bytes += 16 * WORLD_MIB;
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    assert_true(nvme_world_said(&world, "made anew: it had another size"));
    nvme_world_wait_found(&world, 0);
    assert_int_equal(nvme_world_get(&world, 1, BLOCK), STATUS_MISS);
    nvme_world_stop(&world);
    int file = nvme_world_file(&world);
    assert_int_equal(ftruncate(file, 10 * WORLD_MIB), 0);
    (void)close(file);
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    assert_true(nvme_world_said(&world, "made anew: it had been cut"));
    assert_int_equal(nvme_world_put(&world, 1, BLOCK), STATUS_OK);
    nvme_world_close(&world);
}

static void test_a_second_daemon_is_refused(void **state)
{
    struct nvme_world world;
    struct nvme_world second;
    (void)state;
    nvme_world_open(&world);
    nvme_world_open(&second);
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    second.options.directories[0] = world.folder.path;
    refuses(&second, STATUS_BUSY, "another process has");
    nvme_world_stop(&world);
    assert_int_equal(nvme_world_start(&second, NULL), STATUS_OK);
    nvme_world_close(&second);
    nvme_world_close(&world);
}

/* Cut, removed or replaced: within a second or two the tier says so and answers with IO. */
static void spoil(const struct nvme_world *world, uint32_t how)
{
    char path[256];
    char other[256];
    folder_file(&world->folder, NAME, path);
    folder_file(&world->folder, "other", other);
    if (how == 0) {
        assert_int_equal(truncate(path, 1 << 20), 0);
    } else if (how == 1) {
        assert_int_equal(unlink(path), 0);
    } else {
        folder_write(&world->folder, "other", "x", 1, 0600);
        assert_int_equal(rename(other, path), 0);
    }
}

static void test_a_file_that_is_taken_away_is_noticed(void **state)
{
    static const char *const said[] = {"changed its size", "was removed", "was replaced"};
    (void)state;
    for (uint32_t how = 0; how < CHECK_COUNT(said); how++) {
        struct nvme_world world;
        nvme_world_open(&world);
        assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
        assert_int_equal(nvme_world_put(&world, 1, BLOCK), STATUS_OK);
        spoil(&world, how);
        uint64_t until_ns = moment_ns() + WORLD_WAIT_NS;
        while (nvme_world_health(&world).up) {
            assert_true(moment_ns() < until_ns);
            int status = nvme_world_get(&world, 1, BLOCK); /* compared if it is OK */
            assert_true(status == STATUS_OK || status == STATUS_IO || status == STATUS_MISS);
        }
        assert_int_equal(nvme_world_put(&world, 2, BLOCK), STATUS_IO);
        assert_int_equal(nvme_world_get(&world, 2, BLOCK), STATUS_MISS);
        until_ns = moment_ns() + WORLD_WAIT_NS;
        while (!nvme_world_said(&world, said[how])) {
            struct tier_done done;
            assert_true(moment_ns() < until_ns);
            (void)tier_poll(world.tier, moment_ns(), &done, 1);
        }
        nvme_world_close(&world);
    }
}

/* In a process of its own, because it mounts, or limits, what it must not keep. */
static int in_a_child(int (*body)(struct nvme_world *world))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct nvme_world world;
        nvme_world_open(&world);
        int result = body(&world);
        world.options.directories[0] = NULL;
        _exit(result);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int fill_the_disk(struct nvme_world *world)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", world->folder.path, "tmpfs", 0, "size=32m") != 0) {
        return CHECK_SKIP;
    }
    if (nvme_world_start(world, NULL) != STATUS_IO || strstr(world->why, "free space") == NULL) {
        return 1;
    }
    return folder_count(&world->folder, ".new") == 0 ? 0 : 2; /* nothing is left behind */
}

static int make_it_read_only(struct nvme_world *world)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", world->folder.path, "tmpfs", MS_RDONLY, "size=1m") != 0) {
        return CHECK_SKIP;
    }
    bool refused = nvme_world_start(world, NULL) == STATUS_DENIED &&
                   strstr(world->why, "mount it writable") != NULL;
    return refused ? 0 : 1;
}

static int limit_the_file(struct nvme_world *world)
{
    struct rlimit limit = {.rlim_cur = 32 * WORLD_MIB, .rlim_max = 32 * WORLD_MIB};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return CHECK_SKIP;
    }
    bool refused = nvme_world_start(world, NULL) == STATUS_IO &&
                   strstr(world->why, "make the tier smaller") != NULL;
    nvme_world_close(world);
    return refused ? 0 : 1;
}

static void judge(int result)
{
    if (result == CHECK_SKIP) {
        printf("skipped: it needs a mount of its own, hence root\n");
        skip();
    }
    assert_int_equal(result, 0);
}

static void test_a_full_disk_is_said_at_open(void **state)
{
    (void)state;
    judge(in_a_child(fill_the_disk));
}

static void test_a_read_only_directory_is_said_at_open(void **state)
{
    (void)state;
    judge(in_a_child(make_it_read_only));
}

static void test_a_file_size_limit_is_said_at_open(void **state)
{
    (void)state;
    judge(in_a_child(limit_the_file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_ours_is_refused_and_left_alone),
        cmocka_unit_test(test_another_format_is_refused_with_a_remedy),
        cmocka_unit_test(test_another_size_is_made_anew),
        cmocka_unit_test(test_a_second_daemon_is_refused),
        cmocka_unit_test(test_a_file_that_is_taken_away_is_noticed),
        cmocka_unit_test(test_a_full_disk_is_said_at_open),
        cmocka_unit_test(test_a_read_only_directory_is_said_at_open),
        cmocka_unit_test(test_a_file_size_limit_is_said_at_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
