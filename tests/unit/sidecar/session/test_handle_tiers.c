/* handle: a session reads and fills host memory, and what a device has beside it is none of it. */
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/admit.h"
#include "sidecar/block/pool_class.h"

#define HOST 16u
#define DEVICE 4u
#define KEY 5u

static struct world world;
static struct player player;
static uint32_t device;

static int set_up(void **state)
{
    (void)state;
    struct hello hello = world_hello("a");
    world_open_tiers(&world, HOST, DEVICE);
    player_enter(&player, &world, &hello);
    assert_int_equal(
        pool_class_take(&world.blocks.pool, WORLD_SLOT, SLOT_TIER_DEVICE, &device), STATUS_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_check(&world);
    player_leave(&player);
    world_close(&world);
    return 0;
}

/* Block `number` of the player's namespace is in device memory. Returns its slot. */
static uint32_t put_on_device(uint64_t number)
{
    uint32_t slot;
    uint64_t generation;
    bool duplicate;
    struct slot_content content = {
        .key = world_key(number), .bytes = WORLD_SLOT, .space = (uint16_t)player.welcome.space};
    assert_int_equal(
        pool_take(&world.blocks, device, SLOT_RESERVED, &slot, &generation), STATUS_OK);
    assert_int_equal(
        admit_block(&world.blocks, slot, generation, &content, NULL, &duplicate), STATUS_OK);
    assert_false(duplicate);
    return slot;
}

static uint32_t find_in(uint64_t number, enum slot_tier tier)
{
    struct key key = world_key(number);
    return admit_find_tier(&world.blocks, &key, (uint16_t)player.welcome.space, tier);
}

static void a_block_that_only_a_device_has_is_one_to_compute(void **state)
{
    (void)state;
    uint32_t slot = put_on_device(KEY);
    struct request wait = {
        .type = REQUEST_WAIT, .cookie = 1, .key = world_key(KEY), .timeout_ns = 10 * WORLD_MS};
    struct request claim = {.type = REQUEST_CLAIM, .cookie = 2, .key = world_key(KEY)};
    assert_int_equal(player_call(&player, 0, &wait).status, STATUS_MISS);
    assert_int_equal(player_call(&player, 0, &claim).status, STATUS_MINE);
    player_put(&player, KEY);
    assert_int_equal(player_call(&player, 0, &wait).status, STATUS_OK);
    assert_int_equal(player_call(&player, 0, &claim).status, STATUS_OK);
    /* Its commit was no duplicate, and took nothing from the device's copy. */
    assert_int_equal(world_count(&world, COUNTER_duplicates), 0);
    assert_int_not_equal(find_in(KEY, SLOT_TIER_HOST), HINT_NONE);
    assert_int_equal(find_in(KEY, SLOT_TIER_DEVICE), slot);
}

static void grants_are_of_host_memory_however_much_a_device_has_free(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2 * HOST * WORLD_PER; i++) {
        struct reply reply = player_borrow(&player, 0);
        assert_int_equal(reply.status, STATUS_OK);
        assert_int_equal(pool_tier(&world.blocks.pool, reply.slot), SLOT_TIER_HOST);
        assert_true(reply.offset + reply.bytes <= player.welcome.pool_bytes);
        struct request commit = {
            .type = REQUEST_COMMIT,
            .slot = reply.slot,
            .generation = reply.generation,
            .bytes = reply.bytes,
            .key = world_key(1000 + i),
        };
        player_ask(&player, 0, &commit);
        assert_int_equal(dispatch_turn(&world.table), 1);
    }
    assert_true(world_count(&world, COUNTER_evictions) >= HOST * WORLD_PER);
    assert_int_equal(world.blocks.pool.sides[SLOT_TIER_DEVICE].free.count, DEVICE);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_block_that_only_a_device_has_is_one_to_compute),
        IN_WORLD(grants_are_of_host_memory_however_much_a_device_has_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
