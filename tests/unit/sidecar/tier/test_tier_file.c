/* test_tier_file: what the conformance suite cannot see: the files themselves. */
#include "sidecar/tier/tier_file.h"

#include "sidecar/tier/file_store.h"
#include "tests/unit/sidecar/tier/tier_world.h"

#include <signal.h>
#include <sys/resource.h>

#define PLENTY (UINT64_C(8) << 20)

static void path_of(const struct tier_world *world, uint64_t number, char *out_path)
{
    char name[FILE_STORE_NAME];
    struct tier_id id = tier_world_id(number);
    file_store_name(&id, name);
    folder_file(&world->folder, name, out_path);
}

static void test_a_block_is_a_file_whole_or_not_there(void **state)
{
    (void)state;
    struct tier_world world;
    tier_world_open(&world, PLENTY);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(tier_world_store(&world, i), STATUS_OK);
        assert_int_equal(folder_count(&world.folder, ".block"), i + 1);
        assert_int_equal(folder_count(&world.folder, "unfinished"), 0);
    }
    struct tier_id id = tier_world_id(3);
    tier_drop(world.tier, &id);
    assert_int_equal(folder_count(&world.folder, ".block"), 4);
    tier_world_close(&world);
}

static void test_oldest_goes_first(void **state)
{
    (void)state;
    struct tier_world world;
    tier_world_open(&world, 3 * file_store_bytes(TIER_WORLD_BYTES));
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(tier_world_store(&world, i), STATUS_OK);
        assert_int_equal(tier_world_saw(&world, TIER_LOST, i - 3), i >= 3);
        assert_true(folder_count(&world.folder, ".block") <= 3);
    }
    assert_int_equal(tier_world_load(&world, 6), STATUS_MISS);
    assert_int_equal(tier_world_load(&world, 7), STATUS_OK);
    /* With less room in its next life it keeps the newest, and does not speak of the others. */
    tier_close(world.tier, 0);
    assert_int_equal(
        tier_world_start(&world, file_store_bytes(TIER_WORLD_BYTES), CODEC_RAW, NULL), STATUS_OK);
    tier_world_poll(&world);
    assert_int_equal(world.count, 1);
    assert_true(tier_world_saw(&world, TIER_FOUND, 9));
    assert_int_equal(folder_count(&world.folder, ".block"), 1);
    tier_world_close(&world);
}

static void test_files_that_others_touch_are_misses(void **state)
{
    (void)state;
    struct tier_world world;
    char path[256];
    char other[256];
    tier_world_open(&world, PLENTY);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(tier_world_store(&world, i), STATUS_OK);
    }
    path_of(&world, 1, path); /* deleted */
    assert_int_equal(unlink(path), 0);
    path_of(&world, 2, path); /* cut */
    assert_int_equal(truncate(path, 300), 0);
    path_of(&world, 3, path); /* swapped */
    path_of(&world, 4, other);
    assert_int_equal(rename(other, path), 0);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(tier_world_load(&world, i), STATUS_MISS);
        assert_true(tier_world_saw(&world, TIER_LOST, i));
        assert_int_equal(tier_world_load(&world, i), STATUS_MISS);
    }
    assert_int_equal(tier_world_load(&world, 5), STATUS_OK);
    struct tier_health health = tier_world_health(&world);
    assert_int_equal(health.corrupt, 2); /* what is deleted is not corrupt */
    assert_int_equal(health.errors, 0);
    assert_int_equal(health.blocks, 1);
    tier_world_close(&world);
}

/* A full disk, from the outside: the kernel refuses to let a file grow. */
static void test_a_store_that_fails_leaves_nothing(void **state)
{
    (void)state;
    struct tier_world world;
    struct rlimit before;
    tier_world_open(&world, PLENTY);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = TIER_WORLD_BYTES / 2, .rlim_max = before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int status = tier_world_store(&world, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, STATUS_IO);
    struct tier_health health = tier_world_health(&world);
    assert_int_equal(health.errors, 1);
    assert_int_equal(health.blocks, 0);
    assert_int_equal(health.stores, 0);
    assert_true(health.note[0] != '\0');
    assert_int_equal(folder_count(&world.folder, "unfinished"), 0);
    assert_int_equal(folder_count(&world.folder, ".block"), 0);
    assert_int_equal(tier_world_load(&world, 1), STATUS_MISS);
    assert_int_equal(tier_world_store(&world, 1), STATUS_OK); /* and it goes on */
    assert_int_equal(tier_world_load(&world, 1), STATUS_OK);
    tier_world_close(&world);
}

static void test_directory_gone_is_an_error_with_a_remedy(void **state)
{
    (void)state;
    struct tier_world world;
    tier_world_open(&world, PLENTY);
    folder_close(&world.folder);
    assert_int_equal(tier_world_store(&world, 1), STATUS_IO);
    assert_non_null(strstr(tier_world_health(&world).note, "make the directory"));
    tier_close(world.tier, 0);
}

/* Whatever it was written with: a record says so itself. Only a key that is not there is in the
 * way. */
static void test_other_codec_is_read_other_key_is_not(void **state)
{
    (void)state;
    struct tier_world world;
    char key[256];
    tier_world_open(&world, PLENTY);
    folder_file(&world.folder, "key", key);
    folder_write(&world.folder, "key", "0123456789abcdef0123456789abcdef", 32, 0400);
    assert_int_equal(tier_world_store(&world, 1), STATUS_OK);
    tier_close(world.tier, 0);
    assert_int_equal(tier_world_start(&world, PLENTY, CODEC_ZSTD, NULL), STATUS_OK);
    assert_int_equal(tier_world_load(&world, 1), STATUS_OK);
    assert_int_equal(tier_world_store(&world, 2), STATUS_OK);
    assert_true(tier_world_health(&world).written_bytes < TIER_WORLD_BYTES / 2);
    tier_close(world.tier, 0);
    assert_int_equal(tier_world_start(&world, PLENTY, CODEC_RAW, NULL), STATUS_OK);
    assert_int_equal(tier_world_load(&world, 2), STATUS_OK);
    tier_close(world.tier, 0);
    assert_int_equal(tier_world_start(&world, PLENTY, CODEC_RAW, key), STATUS_OK);
    assert_int_equal(tier_world_load(&world, 2), STATUS_MISS);
    assert_int_equal(tier_world_health(&world).corrupt, 1);
    assert_non_null(strstr(tier_world_health(&world).note, "encryption key"));
    assert_int_equal(tier_world_store(&world, 2), STATUS_OK);
    assert_int_equal(tier_world_load(&world, 2), STATUS_OK);
    tier_world_close(&world);
}

static void test_what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    struct tier_world world = {.tier = NULL};
    folder_open(&world.folder);
    assert_int_equal(tier_world_start(&world, PLENTY, CODEC_RAW, "/tmp/cistern-no-key"), STATUS_IO);
    assert_non_null(strstr(world.why, "/tmp/cistern-no-key"));
    assert_null(world.tier);
    folder_close(&world.folder);
    assert_int_equal(tier_world_start(&world, PLENTY, CODEC_RAW, NULL), STATUS_IO);
    assert_non_null(strstr(world.why, world.folder.path));
}

/* Nobody polls: the queue fills up, and then the tier is busy instead of forgetting. */
static void test_events_that_nobody_takes(void **state)
{
    (void)state;
    struct tier_world world;
    static _Alignas(4096) uint8_t data[4096];
    struct tier_block block = {.data = data, .bytes = 1};
    uint64_t accepted = 0;
    uint64_t stored = 0;
    uint64_t lost = 0;
    tier_world_open(&world, 5 * 4096);
    for (uint64_t i = 0; i < 5000; i++) {
        block.id = tier_world_id(i);
        int status = tier_store(world.tier, &block, i);
        accepted += status == STATUS_PENDING;
        assert_true(status == STATUS_PENDING || status == STATUS_BUSY);
    }
    assert_true(accepted < 5000);
    assert_int_equal(tier_world_health(&world).refused, 5000 - accepted);
    do {
        tier_world_poll(&world);
        for (uint32_t i = 0; i < world.count; i++) {
            stored += world.done[i].event == TIER_STORED;
            lost += world.done[i].event == TIER_LOST;
        }
    } while (world.count > 0);
    assert_int_equal(stored, accepted);
    assert_int_equal(lost, tier_world_health(&world).dropped);
    tier_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_block_is_a_file_whole_or_not_there),
        cmocka_unit_test(test_oldest_goes_first),
        cmocka_unit_test(test_files_that_others_touch_are_misses),
        cmocka_unit_test(test_a_store_that_fails_leaves_nothing),
        cmocka_unit_test(test_directory_gone_is_an_error_with_a_remedy),
        cmocka_unit_test(test_other_codec_is_read_other_key_is_not),
        cmocka_unit_test(test_what_cannot_be_opened_says_why),
        cmocka_unit_test(test_events_that_nobody_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
