/* attach: see attach.h. */
#include "libclient/attach.h"

#include "libclient/why.h"
#include "shm/status.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Do the numbers of a welcome fit each other, and what was asked? Returns NULL, or what does
 * not. */
static const char *welcome_fault(
    const struct hello *hello, const struct welcome *welcome, uint32_t fd_count)
{
    bool isolated = (welcome->flags & WELCOME_ISOLATED) != 0;
    uint32_t fds = isolated ? HELLO_FD_MAX : HELLO_FD_STAGING;
    struct lane_shape shape = {.seats = welcome->seats, .pins = welcome->pins};
    const char *fault = attach_device_fault(hello, welcome);
    if (fault != NULL) {
        return fault;
    }
    fds += attach_device_fds(welcome);
    if (welcome->fds != fds || fd_count != fds) {
        return "descriptors";
    }
    if (welcome->seats == 0 || welcome->seats > hello->seats) {
        return "seats";
    }
    if (welcome->pins == 0 || welcome->pins > hello->pins) {
        return "pins";
    }
    if (welcome->grants == 0 || welcome->grants > hello->grants) {
        return "grants";
    }
    if (welcome->space > UINT16_MAX) {
        return "namespace number";
    }
    if (welcome->lane_client_bytes != lane_client_bytes(&shape) ||
        welcome->lane_server_bytes != lane_server_bytes(&shape)) {
        return "lane size";
    }
    if (welcome->pool_bytes == 0 || (isolated && welcome->staging_bytes == 0)) {
        return "pool size";
    }
    if ((hello->flags & HELLO_ISOLATED) != 0 && !isolated) {
        return "isolation";
    }
    return NULL;
}

/* A mapping that is known stays its caller's until the attachment stands. */
static int map_pool(struct attach *attach, struct greet_gift *gift, const struct mapping *known)
{
    uint64_t bytes = gift->welcome.pool_bytes;
    int fd = gift->fds[HELLO_FD_POOL];
    if (mapping_is(known, fd, bytes, !attach->isolated)) {
        return STATUS_OK;
    }
    gift->fds[HELLO_FD_POOL] = -1; /* mapping_open() closes it */
    int status = mapping_open(fd, bytes, !attach->isolated, &attach->mapping);
    return status == STATUS_OK
               ? STATUS_OK
               : why_failed(status, "the sidecar's pool cannot be mapped: %s",
                     status == STATUS_MALFORMED ? "wrong size, or not sealed" : strerror(errno));
}

static int map_segments(struct attach *attach, struct greet_gift *gift)
{
    const struct welcome *welcome = &gift->welcome;
    const struct {
        enum hello_fd fd;
        uint64_t bytes;
        bool writable;
    } rows[] = {
        {HELLO_FD_INDEX, welcome->index_bytes, false},
        {HELLO_FD_LANE_CLIENT, welcome->lane_client_bytes, true},
        {HELLO_FD_LANE_SERVER, welcome->lane_server_bytes, false},
        {HELLO_FD_STAGING, welcome->staging_bytes, true},
    };
    uint32_t count = attach->isolated ? 4 : 3;
    for (uint32_t i = 0; i < count; i++) {
        enum hello_fd at = rows[i].fd;
        int fd = gift->fds[at];
        gift->fds[at] = -1; /* segment_map() closes it */
        int status = segment_map(fd, rows[i].bytes, rows[i].writable, &attach->segments[at]);
        if (status != STATUS_OK) {
            return why_failed(status, "segment %u of the sidecar cannot be mapped: %s",
                (unsigned)at, status == STATUS_IO ? strerror(errno) : "wrong size, or not sealed");
        }
    }
    /* A child of fork() must not write our lane, and its copy would not be counted as ours. */
    for (uint32_t at = HELLO_FD_LANE_CLIENT; at <= HELLO_FD_LANE_SERVER; at++) {
        if (madvise(attach->segments[at].base, attach->segments[at].bytes, MADV_DONTFORK) != 0) {
            return why_failed(STATUS_IO, "madvise(MADV_DONTFORK): %s", strerror(errno));
        }
    }
    return STATUS_OK;
}

static int open_lane(struct attach *attach, uint32_t at, uint32_t grants, uint32_t device_grants)
{
    struct attach_lane *lane = &attach->lanes[at];
    lane->words = lane_seat_at(&attach->shape, attach->segments[HELLO_FD_LANE_CLIENT].base,
        attach->segments[HELLO_FD_LANE_SERVER].base, at);
    lane->pins = (struct pin_seat){
        .records = lane->words.pins,
        .high_word = &lane->words.client->pins_high,
        .count = attach->shape.pins,
    };
    lane->requests = lane_request_writer(&lane->words);
    lane->replies = lane_reply_reader(&lane->words);
    lane->tickets = calloc(attach->shape.pins, sizeof *lane->tickets);
    if (lane->tickets == NULL) {
        return STATUS_NO_MEMORY;
    }
    int status = book_open(grants, &lane->books[BOOK_HOST]);
    if (status == STATUS_OK && device_grants > 0) {
        status = book_open(device_grants, &lane->books[BOOK_DEVICE]);
    }
    return status;
}

static int open_lanes(struct attach *attach, uint32_t grants, uint32_t device_grants)
{
    size_t bytes = attach->shape.seats * sizeof *attach->lanes;
    attach->lanes = aligned_alloc(_Alignof(struct attach_lane), bytes);
    if (attach->lanes == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(attach->lanes, 0, bytes);
    for (uint32_t i = 0; i < attach->shape.seats; i++) {
        int status = open_lane(attach, i, grants, device_grants);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static int fill(struct attach *attach, struct greet_gift *gift, const struct mapping *known)
{
    const struct welcome *welcome = &gift->welcome;
    attach->isolated = (welcome->flags & WELCOME_ISOLATED) != 0;
    attach->space = (uint16_t)welcome->space;
    attach->session = welcome->session;
    attach->epoch = welcome->epoch;
    attach->shape = (struct lane_shape){.seats = welcome->seats, .pins = welcome->pins};
    int status = map_segments(attach, gift);
    if (status == STATUS_OK) {
        status = map_pool(attach, gift, known);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct segment *index = &attach->segments[HELLO_FD_INDEX];
    status = layout_index_view(index->base, index->bytes, &attach->index);
    if (status != STATUS_OK) {
        return why_failed(status, "the sidecar's index has another layout than the library");
    }
    uint32_t slots = attach->index.slots;
    if (welcome->host_slots == 0 || welcome->host_slots > slots ||
        (welcome->device_slabs > 0 && (welcome->device_first > slots ||
                                          welcome->device_slots > slots - welcome->device_first))) {
        return why_failed(STATUS_MALFORMED, "the sidecar's welcome has a wrong number of slots");
    }
    const struct segment *pool =
        attach->mapping != NULL ? &attach->mapping->segment : &known->segment;
    const struct segment *target = attach->isolated ? &attach->segments[HELLO_FD_STAGING] : pool;
    attach->pool = pool->base;
    attach->pool_bytes = pool->bytes;
    attach->host_slots = welcome->host_slots;
    attach->grant_base = target->base;
    attach->grant_bytes = target->bytes;
    attach->client = attach->segments[HELLO_FD_LANE_CLIENT].base;
    attach->server = attach->segments[HELLO_FD_LANE_SERVER].base;
    attach->events = lane_event_reader(attach->server, attach->client);
    attach->socket = gift->socket;
    attach->bell = gift->fds[HELLO_FD_BELL];
    gift->socket = -1;
    gift->fds[HELLO_FD_BELL] = -1;
    status =
        open_lanes(attach, welcome->grants, welcome->device_slabs > 0 ? welcome->device_grants : 0);
    return status == STATUS_OK ? STATUS_OK : why_failed(status, "no memory for the handle's seats");
}

int attach_open(const struct hello *hello, struct greet_gift *gift, uint32_t id,
    const struct attach_known *known, struct attach **out_attach)
{
    assert(id != 0);
    int status = STATUS_OK;
    struct attach *attach = NULL;
    const char *fault = welcome_fault(hello, &gift->welcome, gift->fd_count);
    if (fault != NULL) {
        status = why_failed(STATUS_MALFORMED, "the sidecar's welcome has a wrong %s", fault);
        goto refuse;
    }
    attach = calloc(1, sizeof *attach);
    if (attach == NULL) {
        status = why_failed(STATUS_NO_MEMORY, "no memory for an attachment");
        goto refuse;
    }
    attach->id = id;
    attach->socket = -1;
    attach->bell = -1;
    for (uint32_t i = 0; i < HELLO_FD_MAX; i++) {
        attach->segments[i] = SEGMENT_NONE;
    }
    status = fill(attach, gift, known->mapping);
    if (status != STATUS_OK) {
        attach_close(&attach, false);
        goto refuse;
    }
    if (attach->mapping == NULL) {
        attach->mapping = known->mapping;
    }
    uint32_t slabs = attach_device_fds(&gift->welcome);
    attach_device_map(attach, hello, &gift->welcome, gift->fds + gift->fd_count - slabs, known);
    *out_attach = attach;
refuse:
    greet_refuse(gift); /* what is still there */
    return status;
}

bool attach_is_idle(const struct attach *attach)
{
    if (attach->users != 0) {
        return false;
    }
    for (uint32_t i = 0; i < attach->shape.seats; i++) {
        const struct attach_lane *lane = &attach->lanes[i];
        if (book_any_lent(&lane->books[BOOK_HOST]) || book_any_lent(&lane->books[BOOK_DEVICE])) {
            return false;
        }
        for (uint32_t record = 0; record < lane->pins.high; record++) {
            /* Acquire: the reads under a pin that another thread dropped are over. */
            if (shared32_load_acquire(&lane->pins.records[record]) != 0) {
                return false;
            }
        }
    }
    return true;
}

/* After the last write to the lane. A server that does not hear it waits for the end of the
 * process. */
static void say_goodbye(int socket)
{
    struct hello goodbye = {.magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .kind = HELLO_GOODBYE};
    (void)hello_send(socket, &goodbye, sizeof goodbye, NULL, 0);
}

void attach_close(struct attach **attach_pointer, bool forked)
{
    struct attach *attach = *attach_pointer;
    if (attach == NULL) {
        return;
    }
    *attach_pointer = NULL;
    for (uint32_t i = 0; attach->lanes != NULL && i < attach->shape.seats; i++) {
        free(attach->lanes[i].tickets);
        for (uint32_t which = 0; which < BOOKS; which++) {
            book_close(&attach->lanes[i].books[which]);
        }
    }
    free(attach->lanes);
    for (uint32_t i = 0; i < HELLO_FD_MAX; i++) {
        /* In a child something else may lie where the parent's lanes are. */
        if (!forked || (i != HELLO_FD_LANE_CLIENT && i != HELLO_FD_LANE_SERVER)) {
            segment_close(&attach->segments[i]);
        }
    }
    mapping_drop(&attach->mapping);
    if (attach->bell >= 0) {
        (void)close(attach->bell);
    }
    if (attach->socket >= 0) {
        if (!forked) {
            say_goodbye(attach->socket);
        }
        (void)close(attach->socket);
    }
    free(attach);
}
