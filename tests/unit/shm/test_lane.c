/* test_lane: the parts of a lane do not overlap, lie inside it, and both sides find the same. */
#include "shm/lane.h"

#include "tests/check.h"

#include <string.h>
#include <sys/mman.h>

struct lane {
    struct lane_shape shape;
    char *client;
    char *server;
};

static void *map(uint64_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(base != MAP_FAILED);
    return base;
}

static struct lane lane_open(uint32_t seats, uint32_t pins)
{
    struct lane lane = {.shape = {.seats = seats, .pins = pins}};
    lane.client = map(lane_client_bytes(&lane.shape));
    lane.server = map(lane_server_bytes(&lane.shape));
    return lane;
}

static void lane_drop(struct lane *lane)
{
    (void)munmap(lane->client, lane_client_bytes(&lane->shape));
    (void)munmap(lane->server, lane_server_bytes(&lane->shape));
}

/* Claim the bytes of one part for `owner`; each byte may be claimed once. */
static void paint(char *base, uint64_t size, const void *part, uint64_t bytes, char owner)
{
    const char *at = part;
    assert_true(at >= base && at + bytes <= base + size);
    assert_int_equal((uintptr_t)at % 64, 0);
    for (uint64_t i = 0; i < bytes; i++) {
        assert_int_equal(base[at - base + (ptrdiff_t)i], 0);
        base[at - base + (ptrdiff_t)i] = owner;
    }
}

static void check_shape(uint32_t seats, uint32_t pins)
{
    struct lane lane = lane_open(seats, pins);
    uint64_t client_bytes = lane_client_bytes(&lane.shape);
    uint64_t server_bytes = lane_server_bytes(&lane.shape);
    assert_int_equal(client_bytes % LAYOUT_PAGE_BYTES, 0);
    assert_int_equal(server_bytes % LAYOUT_PAGE_BYTES, 0);
    paint(lane.client, client_bytes, lane.client, sizeof(struct lane_client_header), 1);
    paint(lane.server, server_bytes, lane.server, sizeof(struct lane_server_header), 1);
    for (uint32_t i = 0; i < seats; i++) {
        struct lane_seat seat = lane_seat_at(&lane.shape, lane.client, lane.server, i);
        char owner = (char)(2 + i);
        paint(lane.client, client_bytes, seat.client, sizeof *seat.client, owner);
        paint(lane.client, client_bytes, seat.pins, 4ull * pins, owner);
        paint(lane.client, client_bytes, seat.requests, 128ull * LANE_REQUESTS, owner);
        paint(lane.client, client_bytes, seat.touches, 4ull * LANE_TOUCHES, owner);
        paint(lane.server, server_bytes, seat.server, sizeof *seat.server, owner);
        paint(lane.server, server_bytes, seat.replies, 64ull * LANE_REPLIES, owner);
    }
    lane_drop(&lane);
}

static void test_parts_do_not_overlap(void **state)
{
    (void)state;
    check_shape(1, 1);
    check_shape(2, 1024);
    check_shape(8, 17);
    check_shape(3, LANE_PINS_MAX);
    check_shape(LANE_SEATS_MAX, 1000);
}

static void test_requests_cross_a_seat(void **state)
{
    (void)state;
    struct lane lane = lane_open(2, 64);
    struct lane_seat seats[2];
    struct ring_writer writers[2];
    struct ring_reader readers[2];
    for (uint32_t i = 0; i < 2; i++) {
        seats[i] = lane_seat_at(&lane.shape, lane.client, lane.server, i);
        writers[i] = lane_request_writer(&seats[i]);
        readers[i] = lane_request_reader(&seats[i]);
    }
    for (uint64_t round = 0; round < 3 * LANE_REQUESTS; round++) {
        for (uint32_t i = 0; i < 2; i++) {
            struct request sent = {.type = REQUEST_COMMIT, .cookie = round << 1 | i, .zero = 9};
            memset(&sent.key, (int)round, sizeof sent.key);
            assert_true(ring_room(&writers[i], 1) >= 1);
            ring_fill(&writers[i], &sent);
            assert_int_equal(ring_look(&readers[i]), RING_EMPTY);
            ring_publish(&writers[i]);
            struct request got;
            assert_int_equal(ring_look(&readers[i]), RING_ENTRY);
            ring_copy(&readers[i], &got);
            ring_return(&readers[i]);
            assert_memory_equal(&got, &sent, sizeof got);
        }
    }
    lane_drop(&lane);
}

static void test_replies_and_events_cross(void **state)
{
    (void)state;
    struct lane lane = lane_open(1, 64);
    struct lane_seat seat = lane_seat_at(&lane.shape, lane.client, lane.server, 0);
    struct lane_client_header *client = (struct lane_client_header *)(void *)lane.client;
    struct lane_server_header *server = (struct lane_server_header *)(void *)lane.server;
    struct ring_writer writers[] = {lane_reply_writer(&seat), lane_event_writer(server, client)};
    struct ring_reader readers[] = {lane_reply_reader(&seat), lane_event_reader(server, client)};
    const uint32_t counts[] = {LANE_REPLIES, LANE_EVENTS};
    for (int ring = 0; ring < 2; ring++) {
        for (uint32_t i = 0; i < counts[ring]; i++) {
            assert_true(ring_room(&writers[ring], 1) >= 1);
            struct reply reply = {.type = REPLY_WAIT, .cookie = i, .offset = 5u * i};
            ring_fill(&writers[ring], &reply);
        }
        assert_int_equal(ring_room(&writers[ring], 1), 0);
        ring_publish(&writers[ring]);
        for (uint32_t i = 0; i < counts[ring]; i++) {
            struct reply reply;
            assert_int_equal(ring_look(&readers[ring]), RING_ENTRY);
            ring_copy(&readers[ring], &reply);
            assert_int_equal(reply.cookie, i);
            assert_int_equal(reply.offset, 5u * i);
        }
        assert_int_equal(ring_look(&readers[ring]), RING_EMPTY);
        ring_return(&readers[ring]);
        assert_int_equal(ring_room(&writers[ring], counts[ring]), counts[ring]);
    }
    lane_drop(&lane);
}

static void test_touch_log_keeps_the_newest(void **state)
{
    (void)state;
    struct lane lane = lane_open(1, 64);
    struct lane_seat seat = lane_seat_at(&lane.shape, lane.client, lane.server, 0);
    uint32_t start = UINT32_MAX - 10; /* also across the wrap of the tail */
    uint32_t tail = start;
    for (uint32_t i = 0; i < LANE_TOUCHES + 100; i++) {
        lane_touch(&seat, &tail, i);
    }
    assert_int_equal(shared32_load_acquire(&seat.client->touch_tail), 0);
    lane_touch_publish(&seat, tail);
    assert_int_equal(shared32_load_acquire(&seat.client->touch_tail), tail);
    for (uint32_t i = 100; i < LANE_TOUCHES + 100; i++) {
        uint32_t at = (start + i) & (LANE_TOUCHES - 1);
        assert_int_equal(shared32_load_relaxed(&seat.touches[at]), i);
    }
    lane_drop(&lane);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_do_not_overlap),
        cmocka_unit_test(test_requests_cross_a_seat),
        cmocka_unit_test(test_replies_and_events_cross),
        cmocka_unit_test(test_touch_log_keeps_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
