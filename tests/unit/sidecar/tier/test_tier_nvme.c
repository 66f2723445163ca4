/* The nvme tier on a file of its own: what it promises when nothing is broken, on both engines. */
#include "shm/status.h"
#include "sidecar/moment.h"

#include "tests/unit/sidecar/tier/nvme_world.h"

static const struct disk_ops *engine_of(void **state)
{
    return *state;
}

static void begin(struct nvme_world *world, void **state)
{
    nvme_world_open(world);
    int status = nvme_world_start(world, engine_of(state));
    if (status == STATUS_UNSUPPORTED) {
        printf("skipped: %s\n", world->why);
        nvme_world_close(world);
        skip();
    }
    assert_int_equal(status, STATUS_OK);
}

static void test_a_stored_block_is_loaded_byte_for_byte(void **state)
{
    static const uint64_t sizes[] = {1, 4095, 4096, 4097, 65536, 200001, WORLD_BLOCK};
    struct nvme_world world;
    begin(&world, state);
    for (uint64_t i = 0; i < CHECK_COUNT(sizes); i++) {
        assert_int_equal(nvme_world_get(&world, i, sizes[i]), STATUS_MISS);
        assert_int_equal(nvme_world_put(&world, i, sizes[i]), STATUS_OK);
        assert_int_equal(nvme_world_put(&world, i, sizes[i]), STATUS_OK); /* it is here already */
    }
    for (uint64_t i = 0; i < CHECK_COUNT(sizes); i++) {
        assert_int_equal(nvme_world_get(&world, i, sizes[i]), STATUS_OK);
    }
    struct tier_health health = nvme_world_health(&world);
    assert_true(health.up);
    assert_int_equal(health.blocks, CHECK_COUNT(sizes));
    assert_int_equal(health.stores, CHECK_COUNT(sizes));
    assert_int_equal(health.loads, CHECK_COUNT(sizes));
    assert_int_equal(health.corrupt + health.errors + health.dropped, 0);
    assert_true(health.load_ns > 0);
    nvme_world_close(&world);
}

static void test_a_dropped_block_is_gone(void **state)
{
    struct nvme_world world;
    begin(&world, state);
    struct tier_id id = nvme_world_id(1);
    assert_int_equal(nvme_world_put(&world, 1, 65536), STATUS_OK);
    tier_drop(world.tier, &id);
    assert_int_equal(nvme_world_get(&world, 1, 65536), STATUS_MISS);
    assert_int_equal(nvme_world_put(&world, 1, 65536), STATUS_OK);
    assert_int_equal(nvme_world_health(&world).stores, 2);
    assert_int_equal(nvme_world_get(&world, 1, 65536), STATUS_OK);
    nvme_world_close(&world);
}

static void test_a_block_dropped_while_it_is_written_is_gone(void **state)
{
    struct nvme_world world;
    begin(&world, state);
    struct tier_id id = nvme_world_id(1);
    assert_int_equal(nvme_world_store(&world, 1, 65536, 0), STATUS_PENDING);
    assert_int_equal(nvme_world_store(&world, 1, 65536, 0), STATUS_BUSY);
    tier_drop(world.tier, &id);
    nvme_world_wait(&world, 1);
    assert_int_equal(world.last.status, STATUS_OK);
    assert_int_equal(nvme_world_get(&world, 1, 65536), STATUS_MISS);
    assert_int_equal(nvme_world_health(&world).blocks, 0);
    nvme_world_close(&world);
}

struct order {
    bool part;
    uint64_t bytes;
};

static void see_part(void *context, const struct tier_done *done)
{
    struct order *order = context;
    if (done->event == TIER_PART) {
        order->part = true;
        order->bytes = done->bytes;
    }
}

static void test_the_first_part_is_told_before_the_rest(void **state)
{
    struct nvme_world world;
    struct order order = {.part = false};
    begin(&world, state);
    for (uint64_t i = 0; i < 20; i++) { /* so that INDEX pages lie at some distance */
        assert_int_equal(nvme_world_store(&world, i, WORLD_BLOCK, (uint32_t)i), STATUS_PENDING);
    }
    nvme_world_wait(&world, 20);
    world.see = see_part;
    world.context = &order;
    struct tier_wish wish = {.id = nvme_world_id(17),
        .out_data = nvme_world_buffer(&world, 1),
        .room = WORLD_BLOCK,
        .part_bytes = 70000,
        .deadline_ns = UINT64_MAX};
    assert_int_equal(tier_load(world.tier, &wish, 99), STATUS_PENDING);
    nvme_world_wait(&world, 21);
    assert_true(order.part);
    assert_int_equal(order.bytes, 70000);
    assert_int_equal(world.last.status, STATUS_OK);
    assert_true(nvme_world_is(17, wish.out_data, WORLD_BLOCK));
    nvme_world_close(&world);
}

static void test_late_and_small_loads_are_refused(void **state)
{
    struct nvme_world world;
    begin(&world, state);
    assert_int_equal(nvme_world_put(&world, 1, 65536), STATUS_OK);
    struct tier_wish wish = {.id = nvme_world_id(1),
        .out_data = nvme_world_buffer(&world, 1),
        .room = 65536,
        .deadline_ns = moment_ns() - 1};
    assert_int_equal(tier_load(world.tier, &wish, 5), STATUS_PENDING);
    nvme_world_wait(&world, 2);
    assert_int_equal(world.last.status, STATUS_MISS);
    assert_int_equal(nvme_world_health(&world).late, 1);
    wish.room = 61440;
    assert_int_equal(tier_load(world.tier, &wish, 6), STATUS_TOO_LARGE);
    assert_int_equal(nvme_world_get(&world, 1, 65536), STATUS_OK);
    nvme_world_close(&world);
}

/* More than the file has room for: the oldest go, what is loaded stays, nothing is wrong. */
static void test_a_full_tier_gives_up_its_oldest(void **state)
{
    struct nvme_world world;
    begin(&world, state);
    const uint32_t blocks = 2000; /* 125 MiB into 80 */
    uint32_t sent = 0;
    uint32_t next_use = 160;
    uint64_t until_ns = moment_ns() + WORLD_WAIT_NS;
    while (sent < blocks) {
        assert_true(moment_ns() < until_ns);
        uint32_t before = sent;
        while (sent < blocks && sent - world.done < 32) {
            assert_int_equal(
                nvme_world_store(&world, sent, 65536, sent % WORLD_BUFFERS), STATUS_PENDING);
            sent++;
        }
        nvme_world_wait(&world, before == 0 ? 16 : before);
        if (sent >= next_use) { /* 3 is used all the time; and in each region one is used once */
            next_use += 160;
            nvme_world_wait(&world, sent);
            assert_int_equal(nvme_world_get(&world, 3, 65536), STATUS_OK);
            assert_int_equal(nvme_world_get(&world, sent - 1, 65536), STATUS_OK);
            world.done -= 2;
            world.good -= 2;
        }
    }
    nvme_world_wait(&world, blocks);
    assert_int_equal(world.good, blocks);
    struct tier_health health = nvme_world_health(&world);
    assert_true(world.lost > 0);
    assert_int_equal(health.dropped, world.lost);
    assert_int_equal(health.blocks, blocks - world.lost);
    assert_true(health.used_bytes <= health.capacity_bytes);
    assert_true(health.reinserted > 0);
    assert_int_equal(nvme_world_get(&world, 3, 65536), STATUS_OK);
    assert_int_equal(nvme_world_get(&world, blocks - 1, 65536), STATUS_OK);
    assert_int_equal(nvme_world_get(&world, 0, 65536), STATUS_MISS);
    /* Headers are a small part of what is written, even if each group were of one block. */
    uint64_t payload = (uint64_t)(blocks + health.reinserted) * 65536;
    printf("written: %.3f of the payload\n", (double)health.written_bytes / (double)payload);
    assert_true(health.written_bytes < payload * 110 / 100);
    nvme_world_close(&world);
}

static void test_codec_and_seal_come_back_as_they_went(void **state)
{
    static const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    char path[256];
    struct nvme_world world;
    nvme_world_open(&world);
    folder_write(&world.folder, "key", key, sizeof key - 1, 0400);
    folder_file(&world.folder, "key", path);
    world.options.key_file = path;
    world.options.codec = CODEC_ZSTD;
    assert_int_equal(nvme_world_start(&world, engine_of(state)), STATUS_OK);
    for (uint64_t i = 0; i < 30; i++) {
        assert_int_equal(nvme_world_store(&world, i, 70000 + i, (uint32_t)i), STATUS_PENDING);
    }
    nvme_world_wait(&world, 30);
    assert_int_equal(world.good, 30);
    for (uint64_t i = 0; i < 30; i++) {
        assert_int_equal(nvme_world_get(&world, i, 70000 + i), STATUS_OK);
    }
    nvme_world_close(&world);
}

static void test_the_day_s_writes_are_bounded(void **state)
{
    struct nvme_world world;
    nvme_world_open(&world);
    world.options.written_bytes_a_day = UINT64_C(24) * 60 * 2 * 65536; /* a minute: two blocks */
    assert_int_equal(nvme_world_start(&world, engine_of(state)), STATUS_OK);
    uint32_t stored = 0;
    uint64_t number = 0;
    while (number < 40) {
        int status = nvme_world_put(&world, number++, 65536);
        stored += status == STATUS_OK;
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
    }
    assert_in_range(stored, 1, 20); /* a slow machine earns a block now and then */
    assert_int_equal(nvme_world_health(&world).over_budget, 40 - stored);
    nvme_world_close(&world);
}

static void test_two_directories_share_the_blocks(void **state)
{
    struct nvme_world world;
    struct folder second;
    nvme_world_open(&world);
    folder_open(&second);
    world.options.directories[1] = second.path;
    world.options.directory_count = 2;
    assert_int_equal(nvme_world_start(&world, engine_of(state)), STATUS_OK);
    for (uint64_t i = 0; i < 60; i++) {
        assert_int_equal(nvme_world_store(&world, i, 65536, (uint32_t)i), STATUS_PENDING);
    }
    nvme_world_wait(&world, 60);
    for (uint64_t i = 0; i < 60; i++) {
        assert_int_equal(nvme_world_get(&world, i, 65536), STATUS_OK);
    }
    nvme_world_stop(&world);
    world.options.directories[0] = second.path;
    world.options.directory_count = 1;
    assert_int_equal(nvme_world_start(&world, engine_of(state)), STATUS_OK);
    nvme_world_wait_found(&world, 30);
    assert_int_equal(world.found, 30); /* half of them */
    nvme_world_stop(&world);
    folder_close(&second);
    nvme_world_close(&world);
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
        printf("engine: %s\n", engines[i]->name);
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(test_a_stored_block_is_loaded_byte_for_byte, given.state),
            cmocka_unit_test_prestate(test_a_dropped_block_is_gone, given.state),
            cmocka_unit_test_prestate(
                test_a_block_dropped_while_it_is_written_is_gone, given.state),
            cmocka_unit_test_prestate(test_the_first_part_is_told_before_the_rest, given.state),
            cmocka_unit_test_prestate(test_late_and_small_loads_are_refused, given.state),
            cmocka_unit_test_prestate(test_a_full_tier_gives_up_its_oldest, given.state),
            cmocka_unit_test_prestate(test_codec_and_seal_come_back_as_they_went, given.state),
            cmocka_unit_test_prestate(test_the_day_s_writes_are_bounded, given.state),
            cmocka_unit_test_prestate(test_two_directories_share_the_blocks, given.state),
        };
        failures += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failures == 0 ? 0 : 1;
}
