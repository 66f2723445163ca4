/* welcome: builds an attach, step by step, and says why when it cannot. */
#include "sidecar/session/welcome.h"

#include "shm/counter.h"
#include "shm/status.h"
#include "sidecar/block/pool_class.h"
#include "sidecar/session/peer_process.h"
#include "sidecar/session/welcome_device.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define TRUSTED_PART 2u /* of the pool one trusted client may pin: its quota guards against bugs */
#define PROMISE_PERCENT \
    90u /* of the pool may be promised to pins; the rest can always be evicted */
#define PROMISE_PART 4u /* of what is left goes to one client at most */

/* An attach in the making; `why` is sent if it fails. */
struct draft {
    struct session *session;
    const struct hello *hello;
    const struct welcome_gifts *gifts;
    int device_status; /* why it has no device, though it asked for one; `why` says more */
    char why[HELLO_WHY];
};

void welcome_refuse(int socket, int status, const char *why)
{
    struct welcome welcome = {.magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .status = status};
    (void)snprintf(welcome.why, sizeof welcome.why, "%s", why);
    (void)hello_send(socket, &welcome, sizeof welcome, NULL, 0);
}

void welcome_observe(int socket, const struct welcome_gifts *gifts, const char *info)
{
    struct welcome welcome = {
        .magic = HELLO_MAGIC,
        .abi = LAYOUT_ABI,
        .fds = 1,
        .index_bytes = gifts->index_bytes,
        .pool_bytes = gifts->pool_bytes,
        .epoch = gifts->epoch,
    };
    (void)snprintf(welcome.info, sizeof welcome.info, "%s", info);
    (void)hello_send(socket, &welcome, sizeof welcome, &gifts->index_readonly, 1);
}

static int check(struct draft *draft)
{
    const struct hello *hello = draft->hello;
    if (hello->seats == 0 || hello->seats > LANE_SEATS_MAX || hello->pins == 0 ||
        hello->pins > LANE_PINS_MAX || hello->grants == 0) {
        (void)snprintf(draft->why, sizeof draft->why,
            "hello: threads must be 1 to %u, pins a thread 1 to %u, grants at least 1",
            LANE_SEATS_MAX, LANE_PINS_MAX);
        return STATUS_INVALID;
    }
    const char *field = space_check(&hello->space);
    if (field != NULL) {
        (void)snprintf(
            draft->why, sizeof draft->why, "namespace: the field '%s' is not valid", field);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static int check_limits(struct draft *draft)
{
    const struct session_table *table = draft->session->table;
    const struct config *config = table->config;
    uint32_t uid = draft->session->uid;
    uint32_t attached = table->attached - table->adopted;
    if (attached >= (uint64_t)config->sessions) {
        (void)snprintf(draft->why, sizeof draft->why,
            "%u workers are attached; raise 'sessions' of the sidecar", attached);
        return STATUS_LIMIT;
    }
    uint32_t own = session_count_of(table, uid);
    if (own >= (uint64_t)config->sessions_per_user) {
        (void)snprintf(draft->why, sizeof draft->why,
            "%u workers of user %u are attached; close some, or raise 'sessions_per_user' of the "
            "sidecar",
            own, uid);
        return STATUS_LIMIT;
    }
    return STATUS_OK;
}

static int choose_space(struct draft *draft)
{
    struct session *session = draft->session;
    struct session_table *table = session->table;
    const struct hello *hello = draft->hello;
    bool trusted = config_users_has(&table->config->trusted_users, session->uid);
    int status = pool_class_take(
        &table->blocks->pool, hello->space.block_bytes, SLOT_TIER_HOST, &session->size_class);
    if (status != STATUS_OK) {
        (void)snprintf(draft->why, sizeof draft->why,
            status == STATUS_TOO_LARGE
                ? "a block of %llu bytes is larger than an extent of %llu; raise 'extent' (and "
                  "'pool') of the sidecar"
                : "blocks of %llu bytes would be one size too many for this sidecar (extent %llu)",
            (unsigned long long)hello->space.block_bytes,
            (unsigned long long)table->blocks->pool.extent_bytes);
        return status;
    }
    struct registry_entry *entry;
    uint64_t group = trusted ? 0 : (uint64_t)session->uid + 1;
    status = registry_take(&table->registry, &hello->space, group, table->blocks->space_blocks,
        &entry, draft->why, sizeof draft->why);
    if (status != STATUS_OK) {
        pool_class_drop(&table->blocks->pool, session->size_class);
    } else {
        session->space = entry->number;
        cold_space(table->blocks, entry->number, &entry->space, group);
        session->isolated = !trusted || (hello->flags & HELLO_ISOLATED) != 0;
        session->late_writes = (hello->flags & HELLO_LATE_WRITES) != 0;
        session->block_bytes = hello->space.block_bytes;
    }
    if (status == STATUS_OK && (hello->flags & HELLO_DEVICE) != 0) {
        draft->device_status =
            welcome_device_choose(session, hello, draft->gifts, draft->why, sizeof draft->why);
    }
    return status;
}

/* How much of the pool the client's pins may hold. Isolated ones share a promise that never covers
 * the whole pool; a trusted one may write the pool anyway, and gets what half of it can hold. */
static uint64_t pins_bytes(const struct draft *draft)
{
    const struct session_table *table = draft->session->table;
    uint64_t pool_bytes = draft->gifts->pool_bytes;
    if (!draft->session->isolated) {
        return pool_bytes / TRUSTED_PART;
    }
    uint64_t promise = pool_bytes / 100 * PROMISE_PERCENT;
    uint64_t left = promise > table->promised_bytes ? promise - table->promised_bytes : 0;
    return left / PROMISE_PART;
}

/* How many pins and grants, so that no client can hold the whole pool. */
static int choose_quotas(struct draft *draft)
{
    struct session *session = draft->session;
    struct session_table *table = session->table;
    uint64_t pool_bytes = draft->gifts->pool_bytes;
    uint64_t slot_bytes = pool_slot_bytes(&table->blocks->pool, session->size_class);
    uint64_t pins = pins_bytes(draft) / slot_bytes / draft->hello->seats;
    uint64_t device_pins =
        welcome_device_quotas(session, draft->gifts, draft->hello->seats, draft->hello->grants);
    pins = pins < device_pins ? pins : device_pins;
    if (pins > draft->hello->pins) {
        pins = draft->hello->pins;
    }
    if (pins == 0) {
        (void)snprintf(draft->why, sizeof draft->why,
            "the pool of %llu MiB has no pins left to promise (%u workers are attached); ask for "
            "fewer threads, close workers, or raise 'pool' of the sidecar",
            (unsigned long long)(pool_bytes >> 20), table->attached);
        return STATUS_LIMIT;
    }
    uint64_t grants = pool_bytes / 100 * (uint64_t)table->config->grants_share / slot_bytes;
    if (grants > draft->hello->grants) {
        grants = draft->hello->grants;
    }
    session->shape = (struct lane_shape){.seats = draft->hello->seats, .pins = (uint32_t)pins};
    session->grants_max = grants == 0 ? 1 : (uint32_t)grants;
    if (session->isolated) {
        session->promised_bytes = pins * session->shape.seats * slot_bytes;
    }
    table->promised_bytes += session->promised_bytes;
    return STATUS_OK;
}

static int open_lane(struct draft *draft)
{
    struct session *session = draft->session;
    const struct lane_shape *shape = &session->shape;
    int status =
        segment_make("cistern-lane-client", lane_client_bytes(shape), false, &session->lane_client);
    if (status == STATUS_OK) {
        status = segment_make(
            "cistern-lane-server", lane_server_bytes(shape), false, &session->lane_server);
    }
    if (status == STATUS_OK && session->isolated) {
        status = staging_open(&session->staging, session->block_bytes, session->grants_max);
    }
    session->seats = calloc(shape->seats, sizeof *session->seats);
    if (status != STATUS_OK || session->seats == NULL) {
        (void)snprintf(draft->why, sizeof draft->why, "no memory for a lane: %s", strerror(errno));
        return STATUS_NO_MEMORY;
    }
    /* The server only ever loads from it: a store here would be a bug, and shall be a fault. */
    (void)mprotect(session->lane_client.base, session->lane_client.bytes, PROT_READ);
    for (uint32_t i = 0; i < shape->seats; i++) {
        struct session_seat *seat = &session->seats[i];
        seat->lane = lane_seat_at(shape, session->lane_client.base, session->lane_server.base, i);
        seat->requests = lane_request_reader(&seat->lane);
        seat->replies = lane_reply_writer(&seat->lane);
    }
    session->events = lane_event_writer(session->lane_server.base, session->lane_client.base);
    return STATUS_OK;
}

static int watch_process(struct draft *draft)
{
    struct session *session = draft->session;
    session->pidfd = peer_process_open(session->socket, session->pid);
    session->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (session->pidfd < 0 || session->bell < 0) {
        (void)snprintf(draft->why, sizeof draft->why,
            "cannot watch your process (%s); it must be visible to the sidecar: Linux 6.5, or one "
            "pid namespace for both",
            strerror(errno));
        return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}

/* The successor must know of the lane before the client can pin through it. */
static int hold(struct draft *draft)
{
    struct session *session = draft->session;
    const struct session_table *table = session->table;
    uint64_t slot_bytes = pool_slot_bytes(&table->blocks->pool, session->size_class);
    session->epoch = draft->gifts->epoch;
    int status = keep_hold(
        table->keep, KEEP_CLASS, session->size_class, &slot_bytes, sizeof slot_bytes, NULL, 0);
    if (status == STATUS_OK && session->device != SESSION_NO_DEVICE) {
        status = keep_hold(table->keep, KEEP_CLASS, session->device_class, &slot_bytes,
            sizeof slot_bytes, NULL, 0);
    }
    if (status == STATUS_OK) {
        status = session_hold(session);
    }
    if (status != STATUS_OK) {
        (void)snprintf(
            draft->why, sizeof draft->why, "the sidecar's keeper does not answer; try again");
    }
    return status;
}

static int send_welcome(struct draft *draft)
{
    struct session *session = draft->session;
    const struct welcome_gifts *gifts = draft->gifts;
    const struct pool *pool = &session->table->blocks->pool;
    int lane_server = segment_open_readonly(&session->lane_server);
    int fds[HELLO_FDS] = {
        [HELLO_FD_INDEX] = gifts->index_readonly,
        [HELLO_FD_BELL] = session->bell,
        [HELLO_FD_LANE_CLIENT] = session->lane_client.fd,
        [HELLO_FD_LANE_SERVER] = lane_server,
        [HELLO_FD_POOL] = session->isolated ? gifts->pool_readonly : gifts->pool_writable,
        [HELLO_FD_STAGING] = session->staging.segment.fd,
    };
    struct welcome welcome = {
        .magic = HELLO_MAGIC,
        .abi = LAYOUT_ABI,
        .status = STATUS_OK,
        .flags = session->isolated ? WELCOME_ISOLATED : 0,
        .session = session->number,
        .space = session->space,
        .seats = session->shape.seats,
        .pins = session->shape.pins,
        .grants = session->grants_max,
        .fds = session->isolated ? HELLO_FD_MAX : HELLO_FD_STAGING,
        .index_bytes = gifts->index_bytes,
        .lane_client_bytes = session->lane_client.bytes,
        .lane_server_bytes = session->lane_server.bytes,
        .pool_bytes = gifts->pool_bytes,
        .staging_bytes = session->isolated ? session->staging.segment.bytes : 0,
        .epoch = gifts->epoch,
        .host_slots = pool->host_extents * pool->per,
        .device_status = draft->device_status,
    };
    if (draft->device_status != STATUS_OK) {
        memcpy(welcome.why, draft->why, sizeof welcome.why);
    }
    welcome_device_fill(session, gifts, &welcome, fds);
    int status = lane_server < 0
                     ? STATUS_IO
                     : hello_send(session->socket, &welcome, sizeof welcome, fds, welcome.fds);
    if (lane_server >= 0) {
        (void)close(lane_server);
    }
    return status;
}

/* From here on the session counts, and session_end() undoes what was built. */
static void count_in(struct session *session)
{
    struct session_table *table = session->table;
    table->greetings--;
    table->attached++;
    session->state = SESSION_ATTACHED;
    counter_set(table->blocks->counters, COUNTER_sessions_now, table->attached);
}

int welcome_attach(struct session *session, const struct hello *hello,
    const struct welcome_gifts *gifts, int (*watch)(struct session *session))
{
    assert(session->state == SESSION_GREETING);
    struct draft draft = {.session = session, .hello = hello, .gifts = gifts};
    int status = check(&draft);
    if (status == STATUS_OK) {
        status = check_limits(&draft);
    }
    if (status == STATUS_OK) {
        status = choose_space(&draft);
    }
    if (status == STATUS_OK) {
        count_in(session);
        status = choose_quotas(&draft);
        status = status == STATUS_OK ? watch_process(&draft) : status;
        status = status == STATUS_OK ? open_lane(&draft) : status;
        status = status == STATUS_OK ? watch(session) : status;
        status = status == STATUS_OK ? hold(&draft) : status;
        status = status == STATUS_OK ? send_welcome(&draft) : status;
    }
    _Atomic uint64_t *counters = session->table->blocks->counters;
    if (status == STATUS_OK) {
        session->welcomed = true;
        counter_add(counters, COUNTER_sessions_opened, 1);
    } else {
        counter_add(counters, COUNTER_sessions_refused, 1);
        log_line(session->table->log, LOG_WARN, "welcome", "pid %d, uid %u not let in: %s: %s",
            session->pid, session->uid, status_name(status), draft.why);
        welcome_refuse(session->socket, status, draft.why);
    }
    return status;
}
