/* test_cold_faults: the disk of a running or dead sidecar is spoilt in every way that a user meets:
 * what comes back is right, or it does not come back, and the sidecar says why. */
#include "tests/check.h"
#include "tests/e2e/cold_scene.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS (COLD_CHAIN * COLD_CHAINS)
#define LOOKS_MOST 200u
#define EVICTED_MOST 64u /* ahead of need, by a server that has just begun */

static void fill(struct cold_scene *scene, const char *more)
{
    assert_true(cold_open(scene, "auto", more));
    assert_int_equal(cold_fill(scene), 0);
}

/* Whatever comes is right: the child ends with a failure if not. Returns how much came. */
static uint64_t read_what_is_left(struct cold_scene *scene)
{
    uint64_t blocks = 0;
    int status = cold_read(scene, &blocks);
    if (status != 0) {
        daemon_show_log(&scene->daemon);
    }
    assert_int_equal(status, 0);
    return blocks;
}

static uint64_t counted(const struct cold_scene *scene, enum counter which)
{
    struct gauge gauge;
    assert_true(gauge_open(&gauge, scene->daemon.socket));
    uint64_t value = gauge_get(&gauge, which);
    gauge_close(&gauge);
    return value;
}

static void await_cold(const struct cold_scene *scene, uint64_t blocks)
{
    struct gauge gauge;
    assert_true(gauge_open(&gauge, scene->daemon.socket));
    assert_true(gauge_reaches(&gauge, COUNTER_cold_now, blocks));
    gauge_close(&gauge);
}

static void expect_said(const struct cold_scene *scene, const char *text)
{
    if (!daemon_logged(&scene->daemon, text)) {
        daemon_show_log(&scene->daemon);
        fail_msg("the log does not say \"%s\"", text);
    }
}

/* Flip a bit in every `step` bytes of what was written, pseudo-randomly by `seed`. */
static void flip_bits(const struct cold_scene *scene, uint64_t step, uint64_t seed)
{
    int fd = cold_file(scene);
    assert_true(fd >= 0);
    off_t end = lseek(fd, 0, SEEK_END);
    for (off_t at = 0; at < end; at += (off_t)step) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        off_t where = at + (off_t)(seed >> 33) % (off_t)step;
        uint8_t byte = 0;
        if (where < end && pread(fd, &byte, 1, where) == 1) {
            byte ^= (uint8_t)(1u << (seed >> 61));
            assert_int_equal(pwrite(fd, &byte, 1, where), 1);
        }
    }
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(close(fd), 0);
}

static void test_flipped_bits_are_misses(void **state)
{
    (void)state;
    struct cold_scene scene;
    fill(&scene, NULL);
    assert_true(daemon_stop(&scene.daemon));
    flip_bits(&scene, 150000, 7); /* about every second block */
    assert_true(daemon_restart(&scene.daemon));
    /* What lies there is found in the background: who asks before that misses, uncounted. */
    for (uint32_t i = 0; i < LOOKS_MOST && counted(&scene, COUNTER_tier_corrupt) == 0; i++) {
        assert_true(read_what_is_left(&scene) < BLOCKS);
    }
    assert_true(counted(&scene, COUNTER_tier_corrupt) > 0);
    assert_true(daemon_stop(&scene.daemon));
    cold_close(&scene);
}

static void test_a_file_cut_under_the_running_sidecar_is_a_miss(void **state)
{
    (void)state;
    struct cold_scene scene;
    fill(&scene, NULL);
    int fd = cold_file(&scene);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 8192), 0);
    assert_int_equal(close(fd), 0);
    (void)read_what_is_left(&scene);
    assert_true(daemon_lives(&scene.daemon));
    expect_said(&scene, "cistern.tier");
    assert_true(counted(&scene, COUNTER_tier_errors) + counted(&scene, COUNTER_tier_corrupt) > 0);
    assert_true(daemon_stop(&scene.daemon));
    cold_close(&scene);
}

static void test_a_file_deleted_under_the_running_sidecar_does_no_harm(void **state)
{
    (void)state;
    struct cold_scene scene;
    fill(&scene, NULL);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/cistern.tier", scene.folder);
    assert_int_equal(unlink(path), 0);
    (void)read_what_is_left(&scene);
    assert_true(daemon_lives(&scene.daemon));
    assert_true(daemon_stop(&scene.daemon));
    assert_true(daemon_restart(&scene.daemon)); /* with a new, empty file */
    (void)read_what_is_left(&scene);
    assert_true(daemon_stop(&scene.daemon));
    cold_close(&scene);
}

static void write_key(const char *path, char digit)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    char text[64];
    memset(text, digit, sizeof text);
    assert_int_equal(write(fd, text, sizeof text), sizeof text);
    assert_int_equal(close(fd), 0);
}

static void test_another_key_opens_nothing(void **state)
{
    (void)state;
    struct cold_scene scene;
    char key[] = "/tmp/cistern-key-XXXXXX";
    char flag[64];
    int fd = mkstemp(key);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    (void)snprintf(flag, sizeof flag, "--nvme-key-file=%s", key);
    write_key(key, 'a');
    fill(&scene, flag);
    assert_true(daemon_stop(&scene.daemon));

    assert_true(daemon_restart(&scene.daemon));
    await_cold(&scene, COLD_CHAIN); /* what lies there is found in the background */
    assert_true(read_what_is_left(&scene) >= COLD_CHAIN);
    assert_true(daemon_stop(&scene.daemon));

    write_key(key, 'b');
    assert_true(daemon_restart(&scene.daemon));
    /* Who asks before it is found is not told why it misses. */
    for (uint32_t i = 0; i < LOOKS_MOST && !daemon_logged(&scene.daemon, "another key"); i++) {
        assert_int_equal(read_what_is_left(&scene), 0);
    }
    expect_said(&scene, "another key");
    assert_true(daemon_stop(&scene.daemon));
    cold_close(&scene);
    assert_int_equal(unlink(key), 0);
}

static void test_a_second_sidecar_is_refused_the_directory(void **state)
{
    (void)state;
    struct cold_scene scene;
    fill(&scene, NULL);
    char command[2048];
    (void)snprintf(command, sizeof command,
        "env -i %s --socket=%s/other --pool=16MiB --extent=1MiB %s %s >%s/other.log 2>&1",
        scene.daemon.program, scene.daemon.folder, scene.flags[0], scene.flags[1], scene.folder);
    int status = system(command);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    char text[2048] = "";
    (void)snprintf(command, sizeof command, "%s/other.log", scene.folder);
    FILE *log = fopen(command, "re");
    assert_non_null(log);
    text[fread(text, 1, sizeof text - 1, log)] = '\0';
    assert_int_equal(fclose(log), 0);
    if (strstr(text, scene.folder) == NULL) {
        fail_msg("the refusal does not name the directory: %s", text);
    }
    (void)read_what_is_left(&scene);
    assert_true(daemon_stop(&scene.daemon));
    cold_close(&scene);
}

static void test_a_file_that_is_not_ours_is_left_alone(void **state)
{
    (void)state;
    struct cold_scene scene;
    assert_true(cold_open(&scene, "auto", NULL));
    assert_true(daemon_stop(&scene.daemon));
    int fd = cold_file(&scene);
    assert_true(fd >= 0);
    static const char strange[4096] = "somebody's only copy";
    assert_int_equal(pwrite(fd, strange, sizeof strange, 0), sizeof strange);
    assert_int_equal(fsync(fd), 0);
    assert_false(daemon_restart(&scene.daemon));
    char found[sizeof strange];
    assert_int_equal(pread(fd, found, sizeof found, 0), sizeof found);
    assert_memory_equal(found, strange, sizeof found);
    assert_int_equal(close(fd), 0);
    expect_said(&scene, scene.folder);
    cold_close(&scene);
}

/* The keeper's next server cannot open it, either; what is in memory is served all the same. */
static void test_a_successor_goes_on_without_its_disk(void **state)
{
    (void)state;
    struct cold_scene scene;
    fill(&scene, NULL);
    uint64_t hot = counted(&scene, COUNTER_slots_hot);
    int fd = cold_file(&scene);
    assert_true(fd >= 0);
    static const char strange[4096] = "not a tier any more";
    assert_int_equal(pwrite(fd, strange, sizeof strange, 0), sizeof strange);
    assert_int_equal(close(fd), 0);
    pid_t old = daemon_kill_server(&scene.daemon);
    assert_true(old > 0 && daemon_awaits(&scene.daemon, old) > 0);
    assert_true(read_what_is_left(&scene) > 0);
    assert_true(counted(&scene, COUNTER_slots_hot) + EVICTED_MOST >= hot);
    expect_said(&scene, "going on without it");
    assert_true(daemon_stop(&scene.daemon));
    cold_close(&scene);
}

static void test_a_read_only_directory_is_refused_with_its_name(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        (void)printf("skipped: root may write everywhere\n");
        skip();
    }
    struct cold_scene scene = {.folder = "/tmp/cistern-cold-XXXXXX"};
    assert_non_null(mkdtemp(scene.folder));
    assert_int_equal(chmod(scene.folder, 0500), 0);
    char flag[128];
    (void)snprintf(flag, sizeof flag, "--nvme=%s", scene.folder);
    const char *flags[] = {flag, "--nvme-size=64MiB", NULL};
    assert_false(daemon_start(&scene.daemon, flags));
    assert_int_equal(chmod(scene.folder, 0700), 0);
    cold_close(&scene);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flipped_bits_are_misses),
        cmocka_unit_test(test_a_file_cut_under_the_running_sidecar_is_a_miss),
        cmocka_unit_test(test_a_file_deleted_under_the_running_sidecar_does_no_harm),
        cmocka_unit_test(test_another_key_opens_nothing),
        cmocka_unit_test(test_a_second_sidecar_is_refused_the_directory),
        cmocka_unit_test(test_a_file_that_is_not_ours_is_left_alone),
        cmocka_unit_test(test_a_successor_goes_on_without_its_disk),
        cmocka_unit_test(test_a_read_only_directory_is_refused_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
