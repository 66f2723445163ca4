/* A disk that fails, lies and dies, under the nvme tier: by seed. Every operation ends, no byte
 * that is handed over is wrong, and when the disk is back the tier is. */
#include "shm/status.h"
#include "sidecar/moment.h"

#include "tests/fakes/disk_double.h"
#include "tests/unit/sidecar/tier/nvme_world.h"

#define BLOCK 65536u
#define NUMBERS 900u /* 56 MiB: regions are given up all the time */
#define OPERATIONS 3000u

struct judge {
    struct nvme_world *world;
    uint32_t buffer_of[OPERATIONS];
    uint64_t number_of[OPERATIONS];
    bool busy[WORLD_BUFFERS];
    uint32_t under_way;
    uint32_t right;
    uint32_t failed;
};

/* Every OK of a load is compared. */
static void see(void *context, const struct tier_done *done)
{
    struct judge *judge = context;
    if (done->event != TIER_STORED && done->event != TIER_LOADED) {
        return;
    }
    uint32_t buffer = judge->buffer_of[done->cookie];
    assert_true(judge->busy[buffer]);
    judge->busy[buffer] = false;
    judge->under_way--;
    judge->failed += done->status != STATUS_OK;
    if (done->event == TIER_LOADED && done->status == STATUS_OK) {
        assert_true(nvme_world_is(
            judge->number_of[done->cookie], nvme_world_buffer(judge->world, buffer), done->bytes));
        judge->right++;
    }
}

static uint32_t free_buffer(const struct judge *judge)
{
    uint32_t buffer = 0;
    while (judge->busy[buffer]) {
        buffer++;
    }
    return buffer;
}

static void run(struct nvme_world *world, struct judge *judge, uint64_t *seed)
{
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        while (judge->under_way >= 24) {
            nvme_world_wait(world, world->done + 1);
        }
        uint64_t number = check_random(seed) % NUMBERS;
        uint32_t buffer = free_buffer(judge);
        struct tier_id id = nvme_world_id(number);
        judge->buffer_of[i] = buffer;
        judge->number_of[i] = number;
        int status;
        if (check_random(seed) % 3 != 0) {
            struct tier_block block = {
                .id = id, .data = nvme_world_buffer(world, buffer), .bytes = BLOCK};
            nvme_world_fill(number, nvme_world_buffer(world, buffer), BLOCK);
            status = tier_store(world->tier, &block, i);
        } else {
            struct tier_wish wish = {.id = id,
                .out_data = nvme_world_buffer(world, buffer),
                .room = WORLD_BLOCK,
                .part_bytes = check_random(seed) % 2 * 4096,
                .deadline_ns = UINT64_MAX,
                .urgency = check_random(seed) % 2 == 0 ? TIER_URGENT : TIER_AHEAD};
            status = tier_load(world->tier, &wish, i);
        }
        if (status == STATUS_PENDING) {
            judge->busy[buffer] = true;
            judge->under_way++;
        } else {
            assert_true(status == STATUS_OK || status == STATUS_MISS || status == STATUS_BUSY ||
                        status == STATUS_IO || status == STATUS_LIMIT);
        }
    }
    while (judge->under_way > 0) {
        nvme_world_wait(world, world->done + 1);
    }
}

static void test_no_fault_of_a_disk_makes_a_wrong_byte(void **state)
{
    static const struct disk_double_rates rates[] = {
        {.flip = 3000},
        {.tear = 3000},
        {.fail_read = 3000, .fail_write = 600},
        {.fail_read = 600, .fail_write = 600, .flip = 600, .tear = 600},
    };
    uint64_t seed = check_seed();
    (void)state;
    for (uint32_t i = 0; i < CHECK_COUNT(rates); i++) {
        static struct judge judge;
        struct nvme_world world;
        nvme_world_open(&world);
        memset(&judge, 0, sizeof judge);
        judge.world = &world;
        world.see = see;
        world.context = &judge;
        for (uint32_t life = 0; life < 3; life++) {
            disk_double_set(check_random(&seed), &rates[i]);
            assert_int_equal(nvme_world_start(&world, &disk_double), STATUS_OK);
            run(&world, &judge, &seed);
            nvme_world_stop(&world);
        }
        assert_true(judge.right > 0); /* and something got through */
        assert_true(judge.failed > 0 || rates[i].fail_write == 0);
        nvme_world_close(&world);
    }
}

static void test_a_dead_disk_is_left_alone_until_it_is_back(void **state)
{
    struct nvme_world world;
    (void)state;
    nvme_world_open(&world);
    disk_double_set(1, &(struct disk_double_rates){.flip = 0});
    assert_int_equal(nvme_world_start(&world, &disk_double), STATUS_OK);
    assert_int_equal(nvme_world_put(&world, 1, BLOCK), STATUS_OK);
    disk_double_kill(true);
    for (uint64_t i = 0; i < 20; i++) {
        int status = nvme_world_get(&world, 1, BLOCK);
        assert_int_equal(status, STATUS_IO);
    }
    struct tier_health health = nvme_world_health(&world);
    assert_false(health.up);
    assert_true(health.errors >= 8 && health.errors < 20); /* then it was not asked any more */
    assert_int_equal(nvme_world_put(&world, 2, BLOCK), STATUS_IO);
    disk_double_kill(false);
    uint64_t until_ns = moment_ns() + WORLD_WAIT_NS;
    while (!health.up) { /* it is asked once a second, at first */
        assert_true(moment_ns() < until_ns);
        (void)nvme_world_get(&world, 3, BLOCK);
        health = nvme_world_health(&world);
    }
    assert_int_equal(nvme_world_get(&world, 1, BLOCK), STATUS_OK);
    assert_int_equal(nvme_world_put(&world, 2, BLOCK), STATUS_OK);
    assert_int_equal(nvme_world_get(&world, 2, BLOCK), STATUS_OK);
    assert_true(nvme_world_said(&world, "down: 8 transfers in a row failed"));
    nvme_world_close(&world);
}

static void test_a_disk_that_is_dead_at_the_end_does_not_hang_the_close(void **state)
{
    struct nvme_world world;
    (void)state;
    nvme_world_open(&world);
    disk_double_set(1, &(struct disk_double_rates){.flip = 0});
    assert_int_equal(nvme_world_start(&world, &disk_double), STATUS_OK);
    for (uint32_t i = 0; i < 40; i++) {
        assert_int_equal(nvme_world_store(&world, i, BLOCK, i), STATUS_PENDING);
    }
    disk_double_kill(true);
    nvme_world_stop(&world);
    disk_double_kill(false);
    assert_int_equal(nvme_world_start(&world, &disk_double), STATUS_OK);
    nvme_world_wait_found(&world, 0);
    for (uint64_t i = 0; i < 40; i++) {
        int status = nvme_world_get(&world, i, BLOCK);
        assert_true(status == STATUS_OK || status == STATUS_MISS);
    }
    nvme_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_fault_of_a_disk_makes_a_wrong_byte),
        cmocka_unit_test(test_a_dead_disk_is_left_alone_until_it_is_back),
        cmocka_unit_test(test_a_disk_that_is_dead_at_the_end_does_not_hang_the_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
