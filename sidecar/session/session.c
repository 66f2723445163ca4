/* session: the life of one client at the sidecar. */
#include "sidecar/session/session.h"

#include "shm/counter.h"
#include "shm/pin.h"
#include "shm/status.h"
#include "sidecar/block/claim.h"
#include "sidecar/block/evict.h"
#include "sidecar/block/pool_class.h"
#include "sidecar/block/quarantine.h"
#include "sidecar/session/reply.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int session_open_table(struct session_table *out_table, struct blocks *blocks, struct loop *loop,
    struct log *log, const struct config *config, void *pool_base)
{
    struct session_table table = {
        .blocks = blocks,
        .loop = loop,
        .log = log,
        .config = config,
        .pool_base = pool_base,
        .touch_period = 1,
        .read_on = {.first = POOL_NONE},
        .places = calloc(SESSION_PLACES, sizeof *table.places),
        .active = calloc(SESSION_PLACES, sizeof *table.active),
    };
    if (table.places == NULL || table.active == NULL ||
        grant_open(&table.grants, blocks->index.slots) != STATUS_OK ||
        registry_open(&table.registry) != STATUS_OK) {
        grant_close(&table.grants);
        free(table.places);
        free(table.active);
        return STATUS_NO_MEMORY;
    }
    *out_table = table;
    return STATUS_OK;
}

void session_close_table(struct session_table *table)
{
    while (table->active_count > 0) {
        session_end(table->places[table->active[table->active_count - 1]], true);
    }
    registry_close(&table->registry);
    grant_close(&table->grants);
    free(table->places);
    free(table->active);
    table->places = NULL;
    table->active = NULL;
}

struct session *session_new(struct session_table *table, int socket, uint32_t uid, int32_t pid)
{
    if (table->greetings == SESSION_GREETINGS || table->active_count == SESSION_PLACES) {
        return NULL;
    }
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    do {
        table->serial++;
    } while (table->serial == 0 || table->places[table->serial % SESSION_PLACES] != NULL);
    ledger_session(&table->blocks->ledger, table->serial);
    *session = (struct session){
        .table = table,
        .number = table->serial,
        .state = SESSION_GREETING,
        .uid = uid,
        .pid = pid,
        .socket = socket,
        .pidfd = -1,
        .bell = -1,
        .device = SESSION_NO_DEVICE,
        .lane_client = SEGMENT_NONE,
        .lane_server = SEGMENT_NONE,
        .lent = GRANT_LIST_EMPTY,
        .staging = {.segment = SEGMENT_NONE},
    };
    table->places[session_place(session)] = session;
    table->active[table->active_count++] = session_place(session);
    table->greetings++;
    return session;
}

struct session *session_find(const struct session_table *table, uint32_t number)
{
    struct session *session = table->places[number % SESSION_PLACES];
    return session != NULL && session->number == number ? session : NULL;
}

uint32_t session_count_of(const struct session_table *table, uint32_t uid)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->active_count; i++) {
        const struct session *session = table->places[table->active[i]];
        bool has_lane = session->state == SESSION_ATTACHED || session->state == SESSION_REVOKED;
        /* A worker that came back has two for a while, by no fault of its own. */
        count += has_lane && !session->adopted && session->uid == uid ? 1 : 0;
    }
    return count;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* Stop listening to the client; its process is still watched. */
static void hang_up(struct session *session)
{
    struct loop *loop = session->table->loop;
    loop_unwatch(loop, session->socket_watch);
    loop_unwatch(loop, session->bell_watch);
    session->socket_watch = NULL;
    session->bell_watch = NULL;
    close_fd(&session->socket);
    close_fd(&session->bell);
}

static void drop_claims(struct session *session)
{
    struct session_table *table = session->table;
    struct claim_answers answers = reply_answers(table);
    claim_drop(&table->blocks->claims, session_place(session), table->now_ns, &answers);
    fetch_drop(table->blocks, session_place(session));
}

void session_revoke(struct session *session, const char *why)
{
    struct session_table *table = session->table;
    if (session->state == SESSION_REVOKED) {
        return;
    }
    if (session->state != SESSION_ATTACHED) {
        session_end(session, false);
        return;
    }
    log_line(table->log, LOG_INFO, "session",
        "session %u (pid %d, uid %u) is no longer served: %s; its %u slot(s) and its pins stand "
        "until "
        "the process ends",
        session->number, session->pid, session->uid, why, session->lent.count);
    session->state = SESSION_REVOKED;
    hang_up(session);
    /* Others need not wait for blocks that it claimed. */
    drop_claims(session);
}

static void slots_come_home(struct session *session, bool clean)
{
    struct session_table *table = session->table;
    struct blocks *blocks = table->blocks;
    uint32_t count = session->lent.count;
    bool rest = session->late_writes && !clean;
    while (session->lent.first != GRANT_NONE) {
        uint32_t slot = session->lent.first;
        grant_home(&table->grants, &session->lent, slot);
        if (rest) {
            quarantine_put(blocks, slot, table->now_ns);
        } else {
            pool_give(blocks, slot);
        }
    }
    session->device_lent = 0;
    counter_add(blocks->counters, COUNTER_grants_returned, count);
    if (rest && count > 0) {
        log_line(table->log, LOG_INFO, "session",
            "session %u: %u slot(s) rest for %llu ms, because a device may still write them",
            session->number, count, (unsigned long long)(table->config->quarantine_ns / 1000000u));
    }
}

static void leave_table(struct session *session)
{
    struct session_table *table = session->table;
    uint32_t place = session_place(session);
    table->places[place] = NULL;
    for (uint32_t i = 0; i < table->active_count; i++) {
        if (table->active[i] == place) {
            table->active[i] = table->active[--table->active_count];
            break;
        }
    }
    free(session->seats);
    free(session);
}

void session_end(struct session *session, bool clean)
{
    struct session_table *table = session->table;
    bool had_lane = session->state == SESSION_ATTACHED || session->state == SESSION_REVOKED;
    if (session->state == SESSION_GREETING) {
        table->greetings--;
    }
    hang_up(session);
    loop_unwatch(table->loop, session->pid_watch);
    close_fd(&session->pidfd);
    if (had_lane) {
        drop_claims(session);
        slots_come_home(session, clean);
        registry_drop(&table->registry, session->space);
        table->promised_bytes -= session->promised_bytes;
        pool_class_drop(&table->blocks->pool, session->size_class);
        if (session->device != SESSION_NO_DEVICE) {
            pool_class_drop(&table->blocks->pool, session->device_class);
        }
        if (session->welcomed) {
            enum counter how = clean ? COUNTER_sessions_closed : COUNTER_sessions_dead;
            counter_add(table->blocks->counters, how, 1);
        }
        table->attached--;
        table->adopted -= session->adopted ? 1 : 0;
        if (table->adopted == 0) {
            session_adopted_gone(table);
        }
        if (session->held) {
            keep_drop(table->keep, KEEP_SESSION, session->number);
        }
        counter_set(table->blocks->counters, COUNTER_sessions_now, table->attached);
        log_line(table->log, LOG_INFO, "session", "session %u (pid %d, uid %u) %s", session->number,
            session->pid, session->uid, clean ? "left" : "ended with its process");
    }
    segment_close(&session->lane_client);
    segment_close(&session->lane_server);
    staging_close(&session->staging);
    leave_table(session);
}

uint32_t session_sweep(void *context, uint8_t *marks, uint32_t slots)
{
    struct session_table *table = context;
    uint32_t wild = 0;
    for (uint32_t i = 0; i < table->active_count; i++) {
        struct session *session = table->places[table->active[i]];
        if (session->seats == NULL) {
            continue;
        }
        const struct lane_client_header *header = session->lane_client.base;
        /* Raised before the first pin of a seat, with release; partner: libclient/thread. */
        uint32_t seats = shared32_load_acquire(&header->seats_used);
        if (seats > session->shape.seats) {
            seats = session->shape.seats;
            wild++;
        }
        for (uint32_t seat = 0; seat < seats; seat++) {
            const struct lane_seat *lane = &session->seats[seat].lane;
            wild +=
                pin_sweep(&lane->client->pins_high, lane->pins, session->shape.pins, marks, slots);
        }
    }
    return wild;
}

struct evict_sweep session_sweeper(struct session_table *table)
{
    return (struct evict_sweep){.sweep = session_sweep, .context = table};
}
