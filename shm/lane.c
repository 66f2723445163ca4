/* lane: where things lie in the two segments of a lane. Called by both sides when they map one. */
#include "shm/lane.h"

#include <assert.h>

static uint64_t page_align(uint64_t bytes)
{
    return (bytes + LAYOUT_PAGE_BYTES - 1) / LAYOUT_PAGE_BYTES * LAYOUT_PAGE_BYTES;
}

/* Offsets inside one seat of the client part; the last is the size. */
struct client_offsets {
    uint64_t pins;
    uint64_t requests;
    uint64_t touches;
    uint64_t bytes;
};

static struct client_offsets client_offsets(const struct lane_shape *shape)
{
    struct client_offsets offsets;
    offsets.pins = sizeof(struct seat_client);
    uint64_t pins_bytes = (uint64_t)shape->pins * sizeof(uint32_t);
    offsets.requests =
        (offsets.pins + pins_bytes + LAYOUT_LINE_BYTES - 1) / LAYOUT_LINE_BYTES * LAYOUT_LINE_BYTES;
    offsets.touches = offsets.requests + (uint64_t)LANE_REQUESTS * sizeof(struct request);
    offsets.bytes = page_align(offsets.touches + (uint64_t)LANE_TOUCHES * sizeof(uint32_t));
    return offsets;
}

static uint64_t server_seat_bytes(void)
{
    return page_align(sizeof(struct seat_server) + (uint64_t)LANE_REPLIES * sizeof(struct reply));
}

uint64_t lane_client_bytes(const struct lane_shape *shape)
{
    return LAYOUT_PAGE_BYTES + shape->seats * client_offsets(shape).bytes;
}

uint64_t lane_server_bytes(const struct lane_shape *shape)
{
    return page_align(sizeof(struct lane_server_header)) + shape->seats * server_seat_bytes();
}

struct lane_seat lane_seat_at(
    const struct lane_shape *shape, void *client_base, void *server_base, uint32_t index)
{
    assert(index < shape->seats);
    struct client_offsets offsets = client_offsets(shape);
    char *client = (char *)client_base + LAYOUT_PAGE_BYTES + index * offsets.bytes;
    char *server = (char *)server_base + page_align(sizeof(struct lane_server_header)) +
                   index * server_seat_bytes();
    struct lane_seat seat = {
        .client = (struct seat_client *)(void *)client,
        .server = (struct seat_server *)(void *)server,
        .pins = (_Atomic uint32_t *)(void *)(client + offsets.pins),
        .requests = (_Atomic uint64_t *)(void *)(client + offsets.requests),
        .touches = (_Atomic uint32_t *)(void *)(client + offsets.touches),
        .replies = (_Atomic uint64_t *)(void *)(server + sizeof(struct seat_server)),
    };
    return seat;
}

struct ring_writer lane_request_writer(const struct lane_seat *seat)
{
    struct ring_writer ring = {
        .words = seat->requests,
        .tail_word = &seat->client->request_tail,
        .head_word = &seat->server->request_head,
        .count = LANE_REQUESTS,
        .entry_words = LANE_REQUEST_WORDS,
    };
    return ring;
}

struct ring_reader lane_request_reader(const struct lane_seat *seat)
{
    struct ring_reader ring = {
        .words = seat->requests,
        .tail_word = &seat->client->request_tail,
        .head_word = &seat->server->request_head,
        .count = LANE_REQUESTS,
        .entry_words = LANE_REQUEST_WORDS,
    };
    return ring;
}

struct ring_writer lane_reply_writer(const struct lane_seat *seat)
{
    struct ring_writer ring = {
        .words = seat->replies,
        .tail_word = &seat->server->reply_tail,
        .head_word = &seat->client->reply_head,
        .count = LANE_REPLIES,
        .entry_words = LANE_REPLY_WORDS,
    };
    return ring;
}

struct ring_reader lane_reply_reader(const struct lane_seat *seat)
{
    struct ring_reader ring = {
        .words = seat->replies,
        .tail_word = &seat->server->reply_tail,
        .head_word = &seat->client->reply_head,
        .count = LANE_REPLIES,
        .entry_words = LANE_REPLY_WORDS,
    };
    return ring;
}

struct ring_writer lane_event_writer(
    struct lane_server_header *server, const struct lane_client_header *client)
{
    struct ring_writer ring = {
        .words = server->events,
        .tail_word = &server->event_tail,
        .head_word = &client->event_head,
        .count = LANE_EVENTS,
        .entry_words = LANE_REPLY_WORDS,
    };
    return ring;
}

struct ring_reader lane_event_reader(
    const struct lane_server_header *server, struct lane_client_header *client)
{
    struct ring_reader ring = {
        .words = server->events,
        .tail_word = &server->event_tail,
        .head_word = &client->event_head,
        .count = LANE_EVENTS,
        .entry_words = LANE_REPLY_WORDS,
    };
    return ring;
}
