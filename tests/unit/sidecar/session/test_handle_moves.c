/* handle, gather, touch: what sessions do moves blocks up to their device, and down to those who
 * have none; with a double of the mover. */
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/admit.h"
#include "sidecar/session/reply.h"
#include "sidecar/session/touch.h"

#include "tests/unit/sidecar/block/double_mover.h"

#define HOST 16u
#define DEVICE 4u
#define KEY 5u
#define DEVICE_BYTES (DEVICE * WORLD_PER * WORLD_SLOT)

static struct world world;
static struct player owner; /* with the device */
static struct player other; /* without */
static struct double_mover mover;
static unsigned char device_memory[DEVICE_BYTES];

static int set_up(void **state)
{
    (void)state;
    struct hello with = world_hello_device("a");
    struct hello without = world_hello("a");
    world_open_tiers(&world, HOST, DEVICE);
    mover = (struct double_mover){
        .mover = {.start = mover_start, .poll = mover_poll, .context = &mover},
        .host = world.pool.base,
        .host_bytes = world.pool.bytes,
        .device = {device_memory},
        .device_bytes = DEVICE_BYTES,
        .most = MOVER_COPIES,
    };
    move_attach(&world.blocks, &mover.mover);
    player_enter(&owner, &world, &with);
    player_enter(&other, &world, &without);
    (void)dispatch_turn(&world.table);
    return 0;
}

/* What the server does in a turn, beside requests. */
static void turn(void)
{
    uint32_t work;
    struct fetch_means means = reply_means(&world.table);
    (void)cold_turn(&world.blocks, &means, &work);
}

static void end_copies(int status)
{
    while (mover.count > 0) {
        mover_end(&mover, 0, status);
        turn();
    }
}

static int tear_down(void **state)
{
    (void)state;
    end_copies(STATUS_OK);
    world_check(&world);
    player_leave(&owner);
    player_leave(&other);
    world_close(&world);
    return 0;
}

static uint32_t find_in(uint64_t number, enum slot_tier tier)
{
    struct key key = world_key(number);
    return admit_find_tier(&world.blocks, &key, (uint16_t)owner.welcome.space, tier);
}

/* The owner fills a slot of its device and commits it. */
static void put_on_device(uint64_t number)
{
    struct request grant = {
        .type = REQUEST_GRANT, .flags = REQUEST_DEVICE, .count = 1, .cookie = 3};
    struct reply lent = player_call(&owner, 0, &grant);
    assert_int_equal(lent.status, STATUS_OK);
    memset(device_memory + lent.offset, (int)(number & 0xff), WORLD_SLOT);
    struct request commit = {
        .type = REQUEST_COMMIT,
        .slot = lent.slot,
        .generation = lent.generation,
        .bytes = WORLD_SLOT,
        .key = world_key(number),
    };
    player_ask(&owner, 0, &commit);
    assert_int_equal(dispatch_turn(&world.table), 1);
}

static void wait_for(struct player *player, uint64_t number)
{
    struct request wait = {
        .type = REQUEST_WAIT, .cookie = 8, .key = world_key(number), .timeout_ns = 100 * WORLD_MS};
    player_ask(player, 0, &wait);
    assert_int_equal(dispatch_turn(&world.table), 1);
}

static void claim(struct player *player, uint64_t number)
{
    struct request request = {.type = REQUEST_CLAIM, .cookie = 2, .key = world_key(number)};
    assert_int_equal(player_call(player, 0, &request).status, STATUS_MINE);
}

static void a_waiter_without_the_device_is_told_when_host_memory_has_it(void **state)
{
    (void)state;
    struct reply reply;
    claim(&owner, KEY);
    wait_for(&other, KEY);
    put_on_device(KEY);
    assert_false(player_hear(&other, 0, &reply)); /* nothing yet that it could read */
    assert_int_equal(mover.count, 1);
    end_copies(STATUS_OK);
    assert_true(player_hear(&other, 0, &reply));
    assert_int_equal(reply.status, STATUS_OK);
    uint32_t slot = find_in(KEY, SLOT_TIER_HOST);
    assert_int_not_equal(slot, HINT_NONE);
    const unsigned char *bytes = world.pool.base;
    assert_int_equal(bytes[pool_offset(&world.blocks.pool, slot)], KEY);
}

static void it_may_compute_the_block_itself_if_the_copy_fails(void **state)
{
    (void)state;
    struct reply reply;
    claim(&owner, KEY);
    wait_for(&other, KEY);
    put_on_device(KEY);
    end_copies(STATUS_IO);
    assert_true(player_hear(&other, 0, &reply));
    assert_int_equal(reply.status, STATUS_MINE);
    assert_int_equal(find_in(KEY, SLOT_TIER_HOST), HINT_NONE);
}

static void or_if_there_is_none_to_make_it(void **state)
{
    (void)state;
    struct reply reply;
    mover.most = 0;
    claim(&owner, KEY);
    wait_for(&other, KEY);
    put_on_device(KEY);
    assert_true(player_hear(&other, 0, &reply));
    assert_int_equal(reply.status, STATUS_MINE);
}

static void a_waiter_with_the_device_is_told_at_once_and_nothing_is_copied(void **state)
{
    (void)state;
    struct reply reply;
    claim(&other, KEY);
    wait_for(&owner, KEY);
    put_on_device(KEY);
    assert_true(player_hear(&owner, 0, &reply));
    assert_int_equal(reply.cookie, 8);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(mover.starts, 0);
}

static struct reply fetch(struct player *player, uint64_t number)
{
    struct reply reply = {0};
    struct request request = {
        .type = REQUEST_FETCH, .cookie = 9, .key = world_key(number), .timeout_ns = 100 * WORLD_MS};
    player_ask(player, 0, &request);
    assert_int_equal(dispatch_turn(&world.table), 1);
    turn();
    end_copies(STATUS_OK);
    assert_true(player_hear(player, 0, &reply));
    return reply;
}

static void a_fetch_brings_down_what_only_a_device_has(void **state)
{
    (void)state;
    put_on_device(KEY);
    struct reply reply = fetch(&other, KEY);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(mover.starts, 1);
    assert_int_not_equal(find_in(KEY, SLOT_TIER_HOST), HINT_NONE);
}

static void but_not_for_who_reads_it_there(void **state)
{
    (void)state;
    put_on_device(KEY);
    assert_int_equal(fetch(&owner, KEY).status, STATUS_OK);
    assert_int_equal(mover.starts, 0);
}

static void touch(struct player *player, uint32_t slot)
{
    struct player_seat *seat = &player->seats[0];
    lane_touch(&seat->lane, &seat->touch_tail, slot);
    lane_touch_publish(&seat->lane, seat->touch_tail);
    (void)touch_drain(&world.table);
    touch_pass(&world.table);
}

static void its_second_use_brings_a_block_to_the_device(void **state)
{
    (void)state;
    player_put(&owner, KEY);
    uint32_t slot = find_in(KEY, SLOT_TIER_HOST);
    touch(&other, slot);
    touch(&other, slot);
    assert_int_equal(mover.starts, 0); /* it has no device */
    touch(&owner, slot);
    assert_int_equal(mover.starts, 0);
    touch(&owner, slot);
    assert_int_equal(mover.starts, 1);
    end_copies(STATUS_OK);
    uint32_t copy = find_in(KEY, SLOT_TIER_DEVICE);
    assert_int_not_equal(copy, HINT_NONE);
    assert_int_equal(device_memory[pool_offset(&world.blocks.pool, copy)], KEY);
}

static void a_hint_brings_it_there_at_once(void **state)
{
    (void)state;
    struct request ahead = {.type = REQUEST_FETCH,
        .flags = REQUEST_AHEAD | REQUEST_DEVICE,
        .cookie = 4,
        .key = world_key(KEY)};
    player_put(&other, KEY);
    player_ask(&owner, 0, &ahead);
    assert_int_equal(dispatch_turn(&world.table), 1);
    assert_int_equal(mover.starts, 1);
    assert_int_equal(world_count(&world, COUNTER_requests_bad), 0);
    player_ask(&other, 0, &ahead); /* to a device that it has not */
    assert_int_equal(dispatch_turn(&world.table), 1);
    assert_int_equal(world_count(&world, COUNTER_requests_bad), 1);
    assert_int_equal(mover.starts, 1);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_waiter_without_the_device_is_told_when_host_memory_has_it),
        IN_WORLD(it_may_compute_the_block_itself_if_the_copy_fails),
        IN_WORLD(or_if_there_is_none_to_make_it),
        IN_WORLD(a_waiter_with_the_device_is_told_at_once_and_nothing_is_copied),
        IN_WORLD(a_fetch_brings_down_what_only_a_device_has),
        IN_WORLD(but_not_for_who_reads_it_there),
        IN_WORLD(its_second_use_brings_a_block_to_the_device),
        IN_WORLD(a_hint_brings_it_there_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
