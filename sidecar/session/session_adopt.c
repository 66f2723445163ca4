/* session_adopt: sessions that outlive their server: held for a successor, adopted by it, given up.
 *
 * Called by welcome (hold), sidecar/recover (adopt) and door (give up). An adopted session is a
 * revoked one: nothing is served through its lane, its pins are swept, what was lent to it stays
 * lent, until its process is dead or says that it has no use for it any more.
 */
#include "sidecar/session/session.h"

#include "shm/counter.h"
#include "shm/status.h"
#include "sidecar/block/pool_class.h"
#include "sidecar/block/quarantine.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int session_hold(struct session *session)
{
    const struct session_record record = {
        .block_bytes = session->block_bytes,
        .promised_bytes = session->promised_bytes,
        .epoch = session->epoch,
        .uid = session->uid,
        .pid = session->pid,
        .space = session->space,
        .seats = session->shape.seats,
        .pins = session->shape.pins,
        .late_writes = session->late_writes,
        .device = session->device == SESSION_NO_DEVICE ? 0 : session->device + 1,
    };
    const int fds[SESSION_FDS] = {session->lane_client.fd, session->lane_server.fd, session->pidfd};
    int status = keep_hold(session->table->keep, KEEP_SESSION, session->number, &record,
        sizeof record, fds, SESSION_FDS);
    session->held = status == STATUS_OK;
    return status;
}

/* Its process is dead. */
static void process_ended(void *context, uint32_t what)
{
    (void)what;
    session_end(context, false);
}

/* Map the lane. Takes the descriptors over, as far as it says so in the session. */
static int map_lane(struct session *session, int fds[SESSION_FDS])
{
    const struct lane_shape *shape = &session->shape;
    int client = fds[0];
    int server = fds[1];
    fds[0] = -1;
    fds[1] = -1;
    int status = segment_adopt(client, lane_client_bytes(shape), true, &session->lane_client);
    if (status == STATUS_OK) {
        status = segment_adopt(server, lane_server_bytes(shape), true, &session->lane_server);
    } else {
        (void)close(server);
    }
    session->seats = calloc(shape->seats, sizeof *session->seats);
    if (status != STATUS_OK || session->seats == NULL) {
        return status != STATUS_OK ? status : STATUS_NO_MEMORY;
    }
    (void)mprotect(session->lane_client.base, session->lane_client.bytes, PROT_READ);
    for (uint32_t i = 0; i < shape->seats; i++) {
        session->seats[i].lane =
            lane_seat_at(shape, session->lane_client.base, session->lane_server.base, i);
    }
    return STATUS_OK;
}

static bool is_sound(
    const struct session_table *table, uint32_t number, const struct session_record *record)
{
    return number != 0 && table->places[number % SESSION_PLACES] == NULL && record->seats > 0 &&
           record->seats <= LANE_SEATS_MAX && record->pins > 0 && record->pins <= LANE_PINS_MAX &&
           table->active_count < SESSION_PLACES;
}

/* The session's use of its device's class; it has none if the device is not there any more. */
static int join_device(struct session *session, uint32_t device)
{
    struct pool *pool = &session->table->blocks->pool;
    if (device >= pool->devices) {
        return STATUS_MALFORMED;
    }
    int status = pool_class_take(
        pool, session->block_bytes, slot_tier_of_device(device), &session->device_class);
    if (status == STATUS_OK) {
        session->device = device;
    }
    return status == STATUS_UNSUPPORTED ? STATUS_OK : status;
}

/* The session's use of classes and of a namespace: as at its attach. `device`: as in its record. */
static int join(struct session *session, uint32_t device)
{
    struct session_table *table = session->table;
    struct pool *pool = &table->blocks->pool;
    int status = pool_class_take(pool, session->block_bytes, SLOT_TIER_HOST, &session->size_class);
    if (status != STATUS_OK) {
        return status;
    }
    if (device > 0) {
        status = join_device(session, device - 1);
    }
    if (status == STATUS_OK && !registry_join(&table->registry, session->space)) {
        status = STATUS_MALFORMED;
    }
    if (status != STATUS_OK) {
        pool_class_drop(pool, session->size_class);
        if (session->device != SESSION_NO_DEVICE) {
            pool_class_drop(pool, session->device_class);
        }
    }
    return status;
}

static void discard(struct session *session, int fds[SESSION_FDS])
{
    for (uint32_t i = 0; i < SESSION_FDS; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    if (session != NULL) {
        segment_close(&session->lane_client);
        segment_close(&session->lane_server);
        free(session->seats);
        free(session);
    }
}

int session_adopt(struct session_table *table, uint32_t number, const struct session_record *record,
    int fds[SESSION_FDS])
{
    int status = is_sound(table, number, record) ? STATUS_OK : STATUS_MALFORMED;
    struct session *session = status == STATUS_OK ? calloc(1, sizeof *session) : NULL;
    if (session == NULL) {
        discard(NULL, fds);
        return status == STATUS_OK ? STATUS_NO_MEMORY : status;
    }
    *session = (struct session){
        .table = table,
        .number = number,
        .state = SESSION_REVOKED,
        .uid = record->uid,
        .pid = record->pid,
        .socket = -1,
        .pidfd = fds[2],
        .bell = -1,
        .late_writes = record->late_writes != 0,
        .device = SESSION_NO_DEVICE,
        .welcomed = true,
        .space = record->space,
        .block_bytes = record->block_bytes,
        .shape = {.seats = record->seats, .pins = record->pins},
        .lane_client = SEGMENT_NONE,
        .lane_server = SEGMENT_NONE,
        .lent = GRANT_LIST_EMPTY,
        .staging = {.segment = SEGMENT_NONE},
        .promised_bytes = record->promised_bytes,
        .epoch = record->epoch,
        .held = true,
        .adopted = true,
    };
    status = map_lane(session, fds);
    if (status == STATUS_OK) {
        status = loop_watch(
            table->loop, session->pidfd, LOOP_LEVEL, process_ended, session, &session->pid_watch);
    }
    if (status == STATUS_OK) {
        status = join(session, record->device);
    }
    if (status != STATUS_OK) {
        loop_unwatch(table->loop, session->pid_watch);
        discard(session, fds);
        return status;
    }
    table->places[session_place(session)] = session;
    table->active[table->active_count++] = session_place(session);
    table->attached++;
    table->adopted++;
    table->promised_bytes += session->promised_bytes;
    counter_set(table->blocks->counters, COUNTER_sessions_now, table->attached);
    return STATUS_OK;
}

void session_adopted_gone(struct session_table *table)
{
    while (table->read_on.count > 0) {
        uint32_t slot = adopt_pop(table->blocks, &table->read_on);
        quarantine_put(table->blocks, slot, table->now_ns);
    }
}

bool session_give_up(struct session *session, uint32_t former, uint64_t former_epoch)
{
    struct session *old = session_find(session->table, former);
    /* While a process lives, and the old session's pidfd says so, its number is nobody else's. A
     * process of a pid namespace that we do not see has none: its lane stays until it ends. */
    if (old == NULL || !old->adopted || old->epoch != former_epoch || old->uid != session->uid ||
        old->pid != session->pid || old->pid <= 0) {
        return false;
    }
    session_end(old, true);
    return true;
}
