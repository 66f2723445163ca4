/* handle: every request does what lane.h says; every wrong field costs its sender alone, and no
 * slot is lost by it. All of it for a trusted client and for an isolated one. */
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/admit.h"
#include "sidecar/session/handle.h"
#include "sidecar/session/staging.h"

#include <string.h>

#define EXTENTS 16u
#define KEY 5u

static struct world world;
static struct player player;
static struct player other;

static void open_both(uint32_t flags)
{
    struct hello hello = world_hello("a");
    world_open(&world, EXTENTS);
    hello.flags = flags;
    player_enter(&player, &world, &hello);
    player_enter(&other, &world, &hello);
}

static int trusted(void **state)
{
    (void)state;
    open_both(0);
    return 0;
}

static int isolated(void **state)
{
    (void)state;
    open_both(HELLO_ISOLATED);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_check(&world);
    player_leave(&player);
    player_leave(&other);
    world_close(&world);
    return 0;
}

/* Slots of the pool, or places of staging, that the session has. */
static uint32_t lent(const struct player *of)
{
    const struct session *session = of->session;
    return session->isolated ? session->staging.places - session->staging.free_count
                             : session->lent.count;
}

static void send_one(struct player *from, const struct request *request)
{
    player_ask(from, 0, request);
    assert_int_equal(dispatch_turn(&world.table), 1);
}

static struct request commit_of(const struct reply *slot, uint64_t number)
{
    return (struct request){
        .type = REQUEST_COMMIT,
        .slot = slot->slot,
        .generation = slot->generation,
        .bytes = slot->bytes,
        .key = world_key(number),
    };
}

static void a_grant_answers_each_slot_and_marks_the_last(void **state)
{
    (void)state;
    struct reply reply;
    struct request grant = {.type = REQUEST_GRANT, .count = 3, .cookie = 11};
    uint64_t offsets[3];
    send_one(&player, &grant);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(player_hear(&player, 0, &reply));
        assert_int_equal(reply.type, REPLY_GRANT);
        assert_int_equal(reply.status, STATUS_OK);
        assert_int_equal(reply.cookie, 11);
        assert_int_equal(reply.flags, i == 2 ? REPLY_LAST : 0);
        assert_int_equal(reply.bytes, WORLD_SLOT);
        offsets[i] = reply.offset;
        for (uint32_t j = 0; j < i; j++) {
            assert_int_not_equal(offsets[i], offsets[j]);
        }
    }
    assert_false(player_hear(&player, 0, &reply));
    assert_int_equal(lent(&player), 3);
    assert_int_equal(world_count(&world, COUNTER_grants), 3);
}

static void a_grant_that_cannot_be_met_says_so_behind_what_there_was(void **state)
{
    (void)state;
    struct reply reply;
    uint32_t most = player.welcome.grants;
    struct request grant = {.type = REQUEST_GRANT, .count = most + 4, .cookie = 11};
    send_one(&player, &grant);
    for (uint32_t i = 0; i < most; i++) {
        assert_true(player_hear(&player, 0, &reply));
        assert_int_equal(reply.status, STATUS_OK);
        assert_int_equal(reply.flags, 0);
    }
    assert_true(player_hear(&player, 0, &reply));
    assert_int_equal(reply.status, STATUS_LIMIT);
    assert_int_equal(reply.flags, REPLY_LAST);
    assert_false(player_hear(&player, 0, &reply));
    assert_int_equal(lent(&player), most);
    assert_int_equal(world_count(&world, COUNTER_grants_refused), 1);
    grant.count = 0;
    reply = player_call(&player, 0, &grant);
    assert_int_equal(reply.status, STATUS_INVALID);
    assert_int_equal(reply.flags, REPLY_LAST);
}

static void a_commit_makes_its_bytes_readable(void **state)
{
    (void)state;
    struct reply slot = player_borrow(&player, 0);
    struct segment *to = player.session->isolated ? &player.staging : &player.pool;
    memset((char *)to->base + slot.offset, 0x77, 100);
    struct request commit = commit_of(&slot, KEY);
    commit.bytes = 100;
    commit.flags = REQUEST_CHECKSUM;
    commit.checksum = 4711;
    send_one(&player, &commit);
    assert_int_equal(lent(&player), 0);
    struct slot_content content;
    uint64_t generation;
    uint32_t at = admit_find(&world.blocks, &commit.key, (uint16_t)player.welcome.space);
    assert_int_not_equal(at, HINT_NONE);
    assert_true(slot_snapshot(&world.blocks.index.lines[at], &content, &generation));
    assert_int_equal(content.bytes, 100);
    assert_int_equal(content.flags, SLOT_CHECKSUM);
    assert_int_equal(content.checksum, 4711);
    const unsigned char *bytes = (const unsigned char *)player.pool.base + content.offset;
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(bytes[i], 0x77);
    }
    assert_int_equal(world_count(&world, COUNTER_bytes_copied), player.session->isolated ? 100 : 0);
}

static void the_first_of_two_commits_of_a_key_wins(void **state)
{
    (void)state;
    player_put(&player, KEY);
    player_put(&other, KEY);
    assert_int_equal(world_count(&world, COUNTER_commits), 1);
    assert_int_equal(world_count(&world, COUNTER_duplicates), 1);
    assert_int_equal(world_count(&world, COUNTER_slots_hot), 1);
    assert_int_equal(lent(&other), 0);
}

static void an_abort_brings_the_slot_home(void **state)
{
    (void)state;
    struct reply slot = player_borrow(&player, 0);
    struct request abort = {
        .type = REQUEST_ABORT, .slot = slot.slot, .generation = slot.generation};
    send_one(&player, &abort);
    assert_int_equal(lent(&player), 0);
    assert_int_equal(world_count(&world, COUNTER_grants_returned), 1);
    send_one(&player, &abort);
    assert_int_equal(world_count(&world, COUNTER_requests_bad), 1);
    assert_int_equal(world_count(&world, COUNTER_grants_returned), 1);
}

/* What is wrong with a request that names a lent slot: added to its fields, modulo their range. */
static const struct fault {
    const char *name;
    uint32_t slot;
    uint64_t generation;
    uint64_t bytes;
    bool foreign; /* the slot is lent, to somebody else */
} faults[] = {
    {"an old generation", .generation = UINT64_MAX},
    {"a coming generation", .generation = 2},
    {"a generation of another width", .generation = UINT64_C(1) << 56},
    {"the next slot but one", .slot = 2},
    {"the slot behind the last", .slot = EXTENTS * WORLD_PER},
    {"a wild slot", .slot = UINT32_MAX / 2},
    {"another's slot", .foreign = true},
    {"no bytes", .bytes = UINT64_C(0) - WORLD_SLOT},
    {"a byte too many", .bytes = 1},
    {"wild bytes", .bytes = UINT64_MAX / 2},
    {"bytes that are right in their lower half", .bytes = UINT64_C(1) << 32},
};

static void spoil(struct request *request, const struct fault *fault, const struct reply *foreign)
{
    if (fault->foreign) {
        request->slot = foreign->slot;
        request->generation = foreign->generation;
    }
    request->slot += fault->slot;
    request->generation += fault->generation;
    request->bytes += fault->bytes;
}

/* The other one gets its second slot, so that no two sessions ever hold an equal pair. */
static struct reply foreign_slot(void)
{
    (void)player_borrow(&other, 0);
    return player_borrow(&other, 0);
}

static void a_wrong_field_is_counted_and_loses_no_slot(void **state)
{
    (void)state;
    struct reply foreign = foreign_slot();
    static const enum request_type types[] = {REQUEST_COMMIT, REQUEST_ABORT};
    uint64_t bad = 0;
    for (uint32_t type = 0; type < CHECK_COUNT(types); type++) {
        for (uint32_t fault = 0; fault < CHECK_COUNT(faults); fault++) {
            bool of_bytes = faults[fault].bytes != 0;
            if (of_bytes && types[type] == REQUEST_ABORT) {
                continue; /* it has no bytes */
            }
            struct reply slot = player_borrow(&player, 0);
            struct request request = commit_of(&slot, KEY);
            request.type = types[type];
            struct request good = request;
            good.type = REQUEST_ABORT;
            spoil(&request, &faults[fault], &foreign);
            send_one(&player, &request);
            bad++;
            if (world_count(&world, COUNTER_requests_bad) != bad) {
                fail_msg("%s in request %u was not seen", faults[fault].name, types[type]);
            }
            assert_false(player_sees(&player, KEY));
            assert_int_equal(lent(&other), 2);
            /* A wrong name changes nothing; wrong bytes bring the slot home. */
            assert_int_equal(lent(&player), of_bytes ? 0 : 1);
            world_check(&world);
            if (!of_bytes) {
                send_one(&player, &good);
            }
            assert_int_equal(lent(&player), 0);
        }
    }
}

static void a_spent_slot_is_not_lent_any_more(void **state)
{
    (void)state;
    struct reply slot = player_borrow(&player, 0);
    struct request commit = commit_of(&slot, KEY);
    send_one(&player, &commit);
    struct request again = commit_of(&slot, KEY + 1);
    send_one(&player, &again);
    struct request abort = commit_of(&slot, KEY);
    abort.type = REQUEST_ABORT;
    send_one(&player, &abort);
    assert_int_equal(world_count(&world, COUNTER_requests_bad), 2);
    assert_true(player_sees(&player, KEY));
    assert_false(player_sees(&player, KEY + 1));
}

static void unknown_types_are_counted_and_answered_by_nothing(void **state)
{
    (void)state;
    static const uint32_t types[] = {REQUEST_NONE, REQUEST_FETCH + 1, 1000, UINT32_MAX};
    struct reply reply;
    for (uint32_t i = 0; i < CHECK_COUNT(types); i++) {
        struct request request;
        memset(&request, 0xff, sizeof request);
        request.type = types[i];
        send_one(&player, &request);
        assert_int_equal(world_count(&world, COUNTER_requests_bad), i + 1);
    }
    assert_false(player_hear(&player, 0, &reply));
    assert_int_equal(player.session->state, SESSION_ATTACHED);
}

static void a_claim_is_had_by_one_until_the_block_is_hot(void **state)
{
    (void)state;
    struct request claim = {.type = REQUEST_CLAIM, .cookie = 1, .key = world_key(KEY)};
    struct request unclaim = {.type = REQUEST_UNCLAIM, .key = world_key(KEY)};
    assert_int_equal(player_call(&player, 0, &claim).status, STATUS_MINE);
    assert_int_equal(player_call(&player, 0, &claim).status, STATUS_MINE);
    assert_int_equal(player_call(&other, 0, &claim).status, STATUS_OTHER);
    send_one(&other, &unclaim); /* not its own: nothing happens */
    assert_int_equal(player_call(&other, 0, &claim).status, STATUS_OTHER);
    send_one(&player, &unclaim);
    assert_int_equal(player_call(&other, 0, &claim).status, STATUS_MINE);
    player_put(&player, KEY); /* by whomever */
    assert_int_equal(player_call(&player, 0, &claim).status, STATUS_OK);
    assert_int_equal(player_call(&other, 0, &claim).status, STATUS_OK);
}

static void a_spoilt_commit_gives_the_claim_up(void **state)
{
    (void)state;
    struct request claim = {.type = REQUEST_CLAIM, .cookie = 1, .key = world_key(KEY)};
    assert_int_equal(player_call(&player, 0, &claim).status, STATUS_MINE);
    struct reply slot = player_borrow(&player, 0);
    struct request commit = commit_of(&slot, KEY);
    commit.bytes = 0;
    send_one(&player, &commit);
    assert_int_equal(player_call(&other, 0, &claim).status, STATUS_MINE);
}

static void a_wait_ends_by_commit_unclaim_or_cancel(void **state)
{
    (void)state;
    struct reply reply;
    struct request claim = {.type = REQUEST_CLAIM, .cookie = 1, .key = world_key(KEY)};
    struct request unclaim = {.type = REQUEST_UNCLAIM, .key = world_key(KEY)};
    struct request wait = {
        .type = REQUEST_WAIT, .cookie = 2, .timeout_ns = UINT64_MAX, .key = world_key(KEY)};
    struct request cancel = {.type = REQUEST_CANCEL, .cookie = 2};
    assert_int_equal(player_call(&other, 0, &wait).status, STATUS_MISS); /* nobody computes it */
    assert_int_equal(player_call(&player, 0, &claim).status, STATUS_MINE);
    send_one(&other, &wait);
    send_one(&other, &cancel);
    send_one(&player, &unclaim);
    assert_false(player_hear(&other, 0, &reply));
    assert_int_equal(player_call(&player, 0, &claim).status, STATUS_MINE);
    send_one(&other, &wait);
    send_one(&player, &unclaim);
    assert_true(player_hear(&other, 0, &reply));
    assert_int_equal(reply.status, STATUS_MINE);
    send_one(&player, &wait);
    player_put(&other, KEY);
    assert_true(player_hear(&player, 0, &reply));
    assert_int_equal(reply.type, REPLY_WAIT);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(player_call(&player, 0, &wait).status, STATUS_OK);
}

static void a_wait_is_no_longer_than_the_server_allows(void **state)
{
    (void)state;
    struct reply reply;
    struct claim_answers answers = {0};
    struct request claim = {.type = REQUEST_CLAIM, .cookie = 1, .key = world_key(KEY)};
    struct request wait = {
        .type = REQUEST_WAIT, .cookie = 2, .timeout_ns = UINT64_MAX, .key = world_key(KEY)};
    world.config.claim_ns = 1000 * world.config.wait_max_ns;
    assert_int_equal(player_call(&player, 0, &claim).status, STATUS_MINE);
    send_one(&other, &wait);
    uint64_t due = world.table.now_ns + world.config.wait_max_ns;
    assert_int_equal(claim_tick(&world.blocks.claims, due - 1, &answers), due);
    assert_false(player_hear(&other, 0, &reply));
}

static void replies_and_copies_are_foretold(void **state)
{
    (void)state;
    struct request request = {.type = REQUEST_GRANT, .count = 3};
    assert_int_equal(handle_replies(&request), 4);
    request.count = UINT32_MAX;
    assert_in_range(handle_replies(&request), 2, LANE_REPLIES);
    request.type = REQUEST_COMMIT;
    assert_int_equal(handle_copy_bytes(player.session, &request),
        player.session->isolated ? player.session->block_bytes : 0);
    assert_int_equal(handle_replies(&request), 1);
}

int main(void)
{
#define OF(client, test) \
    { \
#test " (" #client ")", test, client, teardown, NULL \
    }
#define BOTH(test) OF(trusted, test), OF(isolated, test)
    const struct CMUnitTest tests[] = {
        BOTH(a_grant_answers_each_slot_and_marks_the_last),
        BOTH(a_grant_that_cannot_be_met_says_so_behind_what_there_was),
        BOTH(a_commit_makes_its_bytes_readable),
        BOTH(the_first_of_two_commits_of_a_key_wins),
        BOTH(an_abort_brings_the_slot_home),
        BOTH(a_wrong_field_is_counted_and_loses_no_slot),
        BOTH(a_spent_slot_is_not_lent_any_more),
        BOTH(unknown_types_are_counted_and_answered_by_nothing),
        BOTH(a_claim_is_had_by_one_until_the_block_is_hot),
        BOTH(a_spoilt_commit_gives_the_claim_up),
        BOTH(a_wait_ends_by_commit_unclaim_or_cancel),
        BOTH(a_wait_is_no_longer_than_the_server_allows),
        BOTH(replies_and_copies_are_foretold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
