/* test_shared: what two processes that were built apart know of each other's memory and messages.
 *
 * A row changes only together with LAYOUT_ABI: the sidecar refuses a client of another number, so
 * that nobody ever reads one layout as the other.
 */
#include "shm/hello.h"
#include "shm/lane.h"
#include "shm/layout.h"
#include "shm/slot.h"
#include "tests/check.h"

struct row {
    const char *what;
    size_t value;
    size_t golden;
};

#define SIZE(name) "size of " #name, sizeof(struct name)
#define AT(name, field) #name "." #field, offsetof(struct name, field)

/* Of LAYOUT_ABI 3. */
#define GOLDEN_ABI 3u
static const struct row rows[] = {
    {SIZE(key), 32},
    {AT(key, word), 0},
    {SIZE(index_header), 1024},
    {AT(index_header, magic), 0},
    {AT(index_header, abi), 8},
    {AT(index_header, slots), 12},
    {AT(index_header, index_bytes), 16},
    {AT(index_header, hint_offset), 24},
    {AT(index_header, slot_offset), 32},
    {AT(index_header, pool_bytes), 40},
    {AT(index_header, hint_buckets), 48},
    {AT(index_header, cold_blocks), 52},
    {AT(index_header, epoch), 56},
    {AT(index_header, server_sleeping), 128},
    {AT(index_header, sleeping_padding), 132},
    {AT(index_header, counter), 256},
    {SIZE(hint_bucket), 64},
    {AT(hint_bucket, word), 0},
    {SIZE(slot_line), 64},
    {AT(slot_line, state), 0},
    {AT(slot_line, key), 8},
    {AT(slot_line, place), 40},
    {AT(slot_line, shape), 48},
    {AT(slot_line, checksum), 56},
    {SIZE(request), 128},
    {AT(request, type), 0},
    {AT(request, flags), 4},
    {AT(request, cookie), 8},
    {AT(request, slot), 16},
    {AT(request, count), 20},
    {AT(request, generation), 24},
    {AT(request, bytes), 32},
    {AT(request, checksum), 40},
    {AT(request, timeout_ns), 48},
    {AT(request, key), 56},
    {AT(request, parent), 88},
    {AT(request, zero), 120},
    {SIZE(reply), 64},
    {AT(reply, type), 0},
    {AT(reply, status), 4},
    {AT(reply, cookie), 8},
    {AT(reply, slot), 16},
    {AT(reply, flags), 20},
    {AT(reply, bytes), 24},
    {AT(reply, generation), 32},
    {AT(reply, offset), 40},
    {AT(reply, number), 48},
    {AT(reply, zero), 56},
    {SIZE(seat_client), 256},
    {AT(seat_client, pins_high), 0},
    {AT(seat_client, request_tail), 64},
    {AT(seat_client, touch_tail), 128},
    {AT(seat_client, reply_head), 192},
    {AT(seat_client, sleeping), 196},
    {SIZE(seat_server), 128},
    {AT(seat_server, request_head), 0},
    {AT(seat_server, reply_tail), 64},
    {SIZE(lane_client_header), 128},
    {AT(lane_client_header, seats_used), 0},
    {AT(lane_client_header, event_head), 64},
    {SIZE(lane_server_header), 65600},
    {AT(lane_server_header, event_tail), 0},
    {AT(lane_server_header, events), 64},
    {SIZE(hello), 768},
    {AT(hello, magic), 0},
    {AT(hello, abi), 4},
    {AT(hello, kind), 8},
    {AT(hello, flags), 12},
    {AT(hello, seats), 16},
    {AT(hello, pins), 20},
    {AT(hello, grants), 24},
    {AT(hello, former), 28},
    {AT(hello, former_epoch), 32},
    {AT(hello, device), 40},
    {AT(hello, space), 56},
    {SIZE(welcome), 9872},
    {AT(welcome, magic), 0},
    {AT(welcome, abi), 4},
    {AT(welcome, status), 8},
    {AT(welcome, flags), 12},
    {AT(welcome, session), 16},
    {AT(welcome, space), 20},
    {AT(welcome, seats), 24},
    {AT(welcome, pins), 28},
    {AT(welcome, grants), 32},
    {AT(welcome, fds), 36},
    {AT(welcome, index_bytes), 40},
    {AT(welcome, lane_client_bytes), 48},
    {AT(welcome, lane_server_bytes), 56},
    {AT(welcome, pool_bytes), 64},
    {AT(welcome, staging_bytes), 72},
    {AT(welcome, epoch), 80},
    {AT(welcome, host_slots), 88},
    {AT(welcome, device_first), 92},
    {AT(welcome, device_slots), 96},
    {AT(welcome, device_slabs), 100},
    {AT(welcome, device_kind), 104},
    {AT(welcome, device_grants), 108},
    {AT(welcome, device_status), 112},
    {AT(welcome, zero), 116},
    {AT(welcome, device_bytes), 120},
    {AT(welcome, device_slab_bytes), 128},
    {AT(welcome, device_pool), 136},
    {AT(welcome, why), 144},
    {AT(welcome, info), 656},
    {AT(welcome, device_ipc), 1680},
    {SIZE(space), 712},
    {AT(space, name), 0},
    {AT(space, model), 64},
    {AT(space, dtype), 256},
    {AT(space, layout), 320},
    {AT(space, rope), 384},
    {AT(space, lora), 448},
    {AT(space, engine), 512},
    {AT(space, tenant), 576},
    {AT(space, block_bytes), 640},
    {AT(space, block_tokens), 648},
    {AT(space, layers), 652},
    {AT(space, heads), 656},
    {AT(space, head_size), 660},
    {AT(space, tp_rank), 664},
    {AT(space, tp_size), 668},
    {AT(space, pp_rank), 672},
    {AT(space, pp_size), 676},
    {AT(space, secret_check), 680},
};

static void every_shared_struct_is_laid_out_as_its_abi_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        if (rows[i].value != rows[i].golden) {
            fail_msg("%s: %zu, was %zu", rows[i].what, rows[i].value, rows[i].golden);
        }
    }
}

struct constant {
    const char *what;
    uint64_t value;
    uint64_t golden;
};

#define IS(name) #name, (uint64_t)(name)

static const struct constant constants[] = {
    {IS(LAYOUT_MAGIC), UINT64_C(0x314e524554534943)},
    {IS(LAYOUT_PAGE_BYTES), 4096},
    {IS(LAYOUT_LINE_BYTES), 64},
    {IS(LAYOUT_SLOTS_MAX), 1073741824},
    {IS(LANE_REQUESTS), 256},
    {IS(LANE_REPLIES), 256},
    {IS(LANE_TOUCHES), 8192},
    {IS(LANE_EVENTS), 1024},
    {IS(LANE_SEATS_MAX), 64},
    {IS(LANE_PINS_MAX), 65536},
    {IS(REQUEST_GRANT), 1},
    {IS(REQUEST_COMMIT), 2},
    {IS(REQUEST_ABORT), 3},
    {IS(REQUEST_CLAIM), 4},
    {IS(REQUEST_UNCLAIM), 5},
    {IS(REQUEST_WAIT), 6},
    {IS(REQUEST_CANCEL), 7},
    {IS(REQUEST_FENCE), 8},
    {IS(REQUEST_FETCH), 9},
    {IS(REQUEST_CHECKSUM), 1},
    {IS(REQUEST_PARENT), 2},
    {IS(REQUEST_EVENT), 4},
    {IS(REQUEST_AHEAD), 8},
    {IS(REQUEST_DEVICE), 16},
    {IS(REQUEST_FETCH_MAX), 65536},
    {IS(REQUEST_PARTS_MAX), 128},
    {IS(REPLY_GRANT), 1},
    {IS(REPLY_CLAIM), 2},
    {IS(REPLY_WAIT), 3},
    {IS(REPLY_FENCE), 4},
    {IS(REPLY_FETCH), 5},
    {IS(REPLY_PART), 6},
    {IS(REPLY_LAST), 1},
    {IS(REPLY_DEVICE), 2},
    {IS(SLOT_FREE), 0},
    {IS(SLOT_RESERVED), 1},
    {IS(SLOT_LOADING), 2},
    {IS(SLOT_VALID), 3},
    {IS(SLOT_EVICTING), 4},
    {IS(SLOT_TIER_HOST), 0},
    {IS(SLOT_TIER_DEVICE), 1},
    {IS(SLOT_DEVICES), 16},
    {IS(SLOT_CHECKSUM), 1},
    {IS(HELLO_MAGIC), 0x4f4c4c48},
    {IS(HELLO_ATTACH), 1},
    {IS(HELLO_OBSERVE), 2},
    {IS(HELLO_GOODBYE), 3},
    {IS(HELLO_FORMER), 4},
    {IS(HELLO_ISOLATED), 1},
    {IS(HELLO_LATE_WRITES), 2},
    {IS(HELLO_DEVICE), 4},
    {IS(HELLO_UUID), 16},
    {IS(HELLO_SLABS), 128},
    {IS(HELLO_IPC), 64},
    {IS(HELLO_SLABS_FD), 0},
    {IS(HELLO_SLABS_IPC), 1},
    {IS(HELLO_FD_INDEX), 0},
    {IS(HELLO_FD_BELL), 1},
    {IS(HELLO_FD_LANE_CLIENT), 2},
    {IS(HELLO_FD_LANE_SERVER), 3},
    {IS(HELLO_FD_POOL), 4},
    {IS(HELLO_FD_STAGING), 5},
    {IS(HELLO_FD_MAX), 6},
    {IS(WELCOME_ISOLATED), 1},
};

static void every_shared_constant_has_the_value_of_its_abi(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_COUNT(constants); i++) {
        if (constants[i].value != constants[i].golden) {
            fail_msg("%s: %llu, was %llu", constants[i].what,
                (unsigned long long)constants[i].value, (unsigned long long)constants[i].golden);
        }
    }
}

static void these_are_the_values_of_this_abi(void **state)
{
    (void)state;
    assert_int_equal(LAYOUT_ABI, GOLDEN_ABI);
}

/* A tool finds a counter by its number: new ones come last. */
static const char *const counters[] = {
    "commits",
    "duplicates",
    "evictions",
    "victims_pinned",
    "grants",
    "grants_returned",
    "grants_refused",
    "claims",
    "claims_passed",
    "waits",
    "waits_late",
    "touches",
    "sessions_opened",
    "sessions_closed",
    "sessions_dead",
    "sessions_refused",
    "requests",
    "requests_bad",
    "lanes_bad",
    "pins_wild",
    "quarantined",
    "hints_full",
    "bytes_committed",
    "bytes_copied",
    "sleeps",
    "wakes_late",
    "extents_moved",
    "slots_hot",
    "slots_lent",
    "slots_free",
    "sessions_now",
    "namespaces_now",
};

static void counters_keep_their_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_COUNT(counters); i++) {
        assert_string_equal(counter_name((enum counter)i), counters[i]);
    }
}

/* The packed words, as bits: both sides take them apart on their own. */
static void a_state_word_is_generation_above_eight_bits_of_state(void **state)
{
    (void)state;
    assert_true(slot_word(0x123456789abcd, SLOT_VALID) == UINT64_C(0x123456789abcd03));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shared_struct_is_laid_out_as_its_abi_says),
        cmocka_unit_test(every_shared_constant_has_the_value_of_its_abi),
        cmocka_unit_test(these_are_the_values_of_this_abi),
        cmocka_unit_test(counters_keep_their_numbers),
        cmocka_unit_test(a_state_word_is_generation_above_eight_bits_of_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
