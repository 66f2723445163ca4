/* welcome_device: who gets a GPU's memory, how much of it, and what that means to the others. */
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/admit.h"

#include <string.h>
#include <unistd.h>

#define HOST 16u
#define DEVICE 4u
#define KEY 5u

static struct world world;
static struct player owner; /* with the device */
static struct player other; /* without */

static int set_up(void **state)
{
    (void)state;
    world_open_tiers(&world, HOST, DEVICE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_check(&world);
    world_close(&world);
    return 0;
}

static void both_enter(void)
{
    struct hello with = world_hello_device("a");
    struct hello without = world_hello("a");
    player_enter(&owner, &world, &with);
    player_enter(&other, &world, &without);
}

static void both_leave(void)
{
    player_leave(&owner);
    player_leave(&other);
}

static void its_owner_is_told_which_slots_are_where(void **state)
{
    (void)state;
    struct hello hello = world_hello_device("a");
    assert_int_equal(player_greet(&owner, &world, &hello, WORLD_UID), STATUS_OK);
    const struct welcome *welcome = &owner.welcome;
    assert_int_equal(welcome->device_status, STATUS_OK);
    assert_int_equal(welcome->host_slots, HOST * WORLD_PER);
    assert_int_equal(welcome->device_first, HOST * WORLD_PER);
    assert_int_equal(welcome->device_slots, DEVICE * WORLD_PER);
    assert_int_equal(welcome->device_slabs, WORLD_SLABS);
    assert_int_equal(welcome->device_kind, HELLO_SLABS_FD);
    assert_int_equal(welcome->device_bytes, DEVICE * WORLD_PER * WORLD_SLOT);
    assert_int_equal(welcome->device_slab_bytes, world.slabs.slab_bytes);
    assert_int_equal(welcome->device_pool, 77);
    assert_int_equal(welcome->fds, HELLO_FD_STAGING + WORLD_SLABS);
    for (uint32_t i = 0; i < WORLD_SLABS; i++) { /* each its own, in order */
        uint64_t value = 0;
        ssize_t got = read(owner.fds[HELLO_FD_STAGING + i], &value, sizeof value);
        assert_int_equal(got, sizeof value);
        assert_int_equal(value, i + 1);
    }
    player_leave(&owner);
}

static void handles_of_the_legacy_kind_lie_in_the_welcome_itself(void **state)
{
    (void)state;
    struct hello hello = world_hello_device("a");
    world.slabs.kind = SLAB_LEGACY;
    memset(world.slabs.slab[1].ipc.byte, 0xab, HELLO_IPC);
    assert_int_equal(player_greet(&owner, &world, &hello, WORLD_UID), STATUS_OK);
    assert_int_equal(owner.welcome.device_kind, HELLO_SLABS_IPC);
    assert_int_equal(owner.welcome.fds, HELLO_FD_STAGING);
    assert_int_equal(owner.welcome.device_ipc[0][0], 0);
    assert_int_equal(owner.welcome.device_ipc[1][HELLO_IPC - 1], 0xab);
    player_leave(&owner);
}

/* Let in with host memory alone, and told why. */
static void refused(const struct hello *hello, int status, const char *word)
{
    uint64_t before = world_count(&world, COUNTER_devices_refused);
    assert_int_equal(player_greet(&owner, &world, hello, WORLD_UID), STATUS_OK);
    assert_int_equal(owner.welcome.device_status, status);
    assert_non_null(strstr(owner.welcome.why, word));
    assert_int_equal(owner.welcome.device_slabs, 0);
    assert_int_equal(owner.session->device, SESSION_NO_DEVICE);
    assert_int_equal(world_count(&world, COUNTER_devices_refused), before + 1);
    session_end(owner.session, true);
    player_leave(&owner);
}

static void whoever_cannot_have_it_is_let_in_without_and_told_why(void **state)
{
    (void)state;
    struct hello hello = world_hello_device("a");
    struct hello isolated = hello;
    struct hello foreign = hello;
    isolated.flags |= HELLO_ISOLATED;
    foreign.device[15] ^= 1;
    refused(&isolated, STATUS_DENIED, "trusted_users");
    refused(&foreign, STATUS_UNSUPPORTED, "'device'");
    world.device.usable = false;
    refused(&hello, STATUS_DEVICE_LOST, "lost");
    world.gifts.device_count = 0;
    refused(&hello, STATUS_UNSUPPORTED, "device_pool");
}

static struct reply borrow_device(struct player *player, uint64_t cookie)
{
    struct request request = {
        .type = REQUEST_GRANT, .flags = REQUEST_DEVICE, .count = 1, .cookie = cookie};
    struct reply reply = player_call(player, 0, &request);
    assert_int_equal(reply.type, REPLY_GRANT);
    assert_int_equal(reply.flags, REPLY_LAST | REPLY_DEVICE);
    return reply;
}

static void commit(struct player *player, const struct reply *lent, uint64_t number)
{
    struct request request = {
        .type = REQUEST_COMMIT,
        .slot = lent->slot,
        .generation = lent->generation,
        .bytes = WORLD_SLOT,
        .key = world_key(number),
    };
    player_ask(player, 0, &request);
    assert_int_equal(dispatch_turn(&world.table), 1);
}

static void a_slot_of_the_device_is_lent_and_published_in_its_memory(void **state)
{
    (void)state;
    both_enter();
    struct reply lent = borrow_device(&owner, 3);
    assert_int_equal(lent.status, STATUS_OK);
    assert_int_equal(pool_tier(&world.blocks.pool, lent.slot), SLOT_TIER_DEVICE);
    assert_true(lent.offset + lent.bytes <= owner.welcome.device_bytes);
    assert_int_equal(owner.session->device_lent, 1);
    commit(&owner, &lent, KEY);
    assert_int_equal(owner.session->device_lent, 0);
    struct key key = world_key(KEY);
    uint16_t space = (uint16_t)owner.welcome.space;
    assert_int_equal(admit_find_tier(&world.blocks, &key, space, SLOT_TIER_DEVICE), lent.slot);
    assert_int_equal(admit_find_tier(&world.blocks, &key, space, SLOT_TIER_HOST), HINT_NONE);
    both_leave();
}

static void what_is_hot_depends_on_who_asks(void **state)
{
    (void)state;
    both_enter();
    struct reply lent = borrow_device(&owner, 3);
    commit(&owner, &lent, KEY);
    struct request claim = {.type = REQUEST_CLAIM, .cookie = 2, .key = world_key(KEY)};
    assert_int_equal(player_call(&owner, 0, &claim).status, STATUS_OK);
    assert_int_equal(player_call(&other, 0, &claim).status, STATUS_MINE);
    both_leave();
}

static void grants_of_the_two_memories_have_quotas_of_their_own(void **state)
{
    (void)state;
    both_enter();
    uint32_t of_device = owner.session->device_grants_max;
    /* A tenth of 64 slots, not of 256. */
    assert_int_equal(of_device, DEVICE * WORLD_PER / 10);
    for (uint32_t i = 0; i < of_device; i++) {
        assert_int_equal(borrow_device(&owner, 3).status, STATUS_OK);
    }
    assert_int_equal(borrow_device(&owner, 3).status, STATUS_LIMIT);
    for (uint32_t i = 0; i < owner.welcome.grants; i++) {
        struct reply host = player_borrow(&owner, 0);
        assert_int_equal(pool_tier(&world.blocks.pool, host.slot), SLOT_TIER_HOST);
    }
    assert_int_equal(borrow_device(&other, 3).status, STATUS_UNSUPPORTED);
    both_leave();
}

static void one_comes_home_by_its_abort(void **state)
{
    (void)state;
    both_enter();
    struct reply lent = borrow_device(&owner, 3);
    struct request abort = {
        .type = REQUEST_ABORT, .slot = lent.slot, .generation = lent.generation};
    player_ask(&owner, 0, &abort);
    assert_int_equal(dispatch_turn(&world.table), 1);
    assert_int_equal(owner.session->device_lent, 0);
    assert_int_equal(owner.session->lent.count, 0);
    both_leave();
}

static void the_slots_of_a_dead_owner_rest_though_it_did_not_ask_for_it(void **state)
{
    (void)state;
    both_enter();
    (void)borrow_device(&owner, 3);
    (void)player_borrow(&owner, 0);
    session_end(owner.session, false);
    assert_int_equal(world_count(&world, COUNTER_quarantined), 2);
    both_leave();
}

static void pins_are_no_more_than_half_of_the_smaller_memory_holds(void **state)
{
    (void)state;
    struct hello hello = world_hello_device("a");
    hello.pins = 1000;
    assert_int_equal(player_greet(&owner, &world, &hello, WORLD_UID), STATUS_OK);
    assert_int_equal(owner.welcome.pins, DEVICE * WORLD_PER / 2);
    player_leave(&owner);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(its_owner_is_told_which_slots_are_where),
        IN_WORLD(handles_of_the_legacy_kind_lie_in_the_welcome_itself),
        IN_WORLD(whoever_cannot_have_it_is_let_in_without_and_told_why),
        IN_WORLD(a_slot_of_the_device_is_lent_and_published_in_its_memory),
        IN_WORLD(what_is_hot_depends_on_who_asks),
        IN_WORLD(grants_of_the_two_memories_have_quotas_of_their_own),
        IN_WORLD(one_comes_home_by_its_abort),
        IN_WORLD(the_slots_of_a_dead_owner_rest_though_it_did_not_ask_for_it),
        IN_WORLD(pins_are_no_more_than_half_of_the_smaller_memory_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
