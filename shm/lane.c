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

static struct ring_writer writer(_Atomic uint64_t *words, _Atomic uint32_t *tail,
    const _Atomic uint32_t *head, uint32_t count, uint32_t entry_words)
{
    return (struct ring_writer){.words = words,
        .tail_word = tail,
        .head_word = head,
        .count = count,
        .entry_words = entry_words};
}

static struct ring_reader reader(const _Atomic uint64_t *words, const _Atomic uint32_t *tail,
    _Atomic uint32_t *head, uint32_t count, uint32_t entry_words)
{
    return (struct ring_reader){.words = words,
        .tail_word = tail,
        .head_word = head,
        .count = count,
        .entry_words = entry_words};
}

struct ring_writer lane_request_writer(const struct lane_seat *seat)
{
    return writer(seat->requests, &seat->client->request_tail, &seat->server->request_head,
        LANE_REQUESTS, LANE_REQUEST_WORDS);
}

struct ring_reader lane_request_reader(const struct lane_seat *seat)
{
    return reader(seat->requests, &seat->client->request_tail, &seat->server->request_head,
        LANE_REQUESTS, LANE_REQUEST_WORDS);
}

struct ring_writer lane_reply_writer(const struct lane_seat *seat)
{
    return writer(seat->replies, &seat->server->reply_tail, &seat->client->reply_head, LANE_REPLIES,
        LANE_REPLY_WORDS);
}

struct ring_reader lane_reply_reader(const struct lane_seat *seat)
{
    return reader(seat->replies, &seat->server->reply_tail, &seat->client->reply_head, LANE_REPLIES,
        LANE_REPLY_WORDS);
}

struct ring_writer lane_event_writer(
    struct lane_server_header *server, const struct lane_client_header *client)
{
    return writer(
        server->events, &server->event_tail, &client->event_head, LANE_EVENTS, LANE_REPLY_WORDS);
}

struct ring_reader lane_event_reader(
    const struct lane_server_header *server, struct lane_client_header *client)
{
    return reader(
        server->events, &server->event_tail, &client->event_head, LANE_EVENTS, LANE_REPLY_WORDS);
}
