/* server_run: the turns of the server: poll, sleep, and what is done now and then.
 *
 * Called by main through server_run(). While requests come the lanes are looked at all the time and
 * the loop every LOOK_NS; `poll` after the last one the server says that it sleeps, looks at all
 * lanes once more, and lets the loop wait (shm/README.md, ordering 2). The lower tiers are looked
 * at in every turn, and their descriptors end a sleep.
 */
#include "shm/bell.h"
#include "shm/counter.h"
#include "sidecar/block/claim.h"
#include "sidecar/block/evict.h"
#include "sidecar/block/quarantine.h"
#include "sidecar/moment.h"
#include "sidecar/server.h"
#include "sidecar/session/dispatch.h"
#include "sidecar/session/reply.h"
#include "sidecar/session/touch.h"

#define LOOK_NS UINT64_C(20000) /* between two looks at the loop, while polling */
#define TICK_NS UINT64_C(10000000) /* between two ticks, while awake */
#define SAFETY_NS UINT64_C(100000000) /* the longest sleep while anybody is attached */
#define WINDOW_GROWTH 8u /* the polling window grows to so many times `poll` */

/* Deadlines, touches, room: bounded work. Returns true if more is to be done at once. */
static bool tick(struct server *server)
{
    struct session_table *table = &server->sessions;
    struct claim_answers answers = reply_answers(table);
    struct evict_sweep sweep = session_sweeper(table);
    server->last_tick_ns = table->now_ns;
    uint64_t claims = claim_tick(&server->blocks.claims, table->now_ns, &answers);
    uint64_t resting = quarantine_tick(&server->blocks, table->now_ns);
    server->deadline_ns = claims < resting ? claims : resting;
    (void)touch_drain(table);
    touch_pass(table);
    /* Copies before evictions: what is being copied is not dropped just now. */
    uint64_t cold = server_tiers_tick(server);
    server->deadline_ns = server->deadline_ns < cold ? server->deadline_ns : cold;
    bool more = evict_tick(&server->blocks, &sweep);
    uses_tick(&server->blocks);
    door_tick(&server->door);
    server_devices_tick(server);
    /* Late waits were answered just now, and a sleep may follow. */
    dispatch_wake(table);
    log_settle(server->log);
    counter_set(server->blocks.counters, COUNTER_namespaces_now, table->registry.count);
    return more;
}

/* How long the loop may wait. */
static int64_t sleep_ns(const struct server *server)
{
    const struct session_table *table = &server->sessions;
    uint64_t now = table->now_ns;
    if (server->deadline_ns <= now) {
        return 0;
    }
    uint64_t until = server->deadline_ns - now;
    if (table->active_count > 0 && until > SAFETY_NS) {
        until = SAFETY_NS;
    }
    return until > INT64_MAX ? -1 : (int64_t)until;
}

/* A sleep that a request ended soon cost its sender a wake-up that a little patience would have
 * saved: poll for longer. One that lasted says that the requests are far apart: poll as configured.
  */
static void fit_window(struct server *server, uint64_t slept_ns)
{
    uint64_t least = server->config.poll_ns;
    uint64_t most = WINDOW_GROWTH * least;
    uint64_t window = slept_ns < most ? 2 * server->window_ns : least;
    server->window_ns = window < least ? least : window > most ? most : window;
}

static void sleep_until_rung(struct server *server)
{
    _Atomic uint64_t *counters = server->blocks.counters;
    server->sleep_number += 2;
    /* Odd: asleep. Partner: bell_look() in libclient. */
    bell_announce(&server->header->server_sleeping, server->sleep_number | 1u);
    if (!dispatch_pending(&server->sessions)) {
        counter_add(counters, COUNTER_sleeps, 1);
        int events = loop_turn(server->loop, sleep_ns(server));
        if (dispatch_pending(&server->sessions)) {
            counter_add(counters, COUNTER_wakes_late, events == 0 ? 1 : 0);
            fit_window(server, moment_ns() - server->sessions.now_ns);
        }
    }
    bell_awake(&server->header->server_sleeping, server->sleep_number & ~1u);
    server->sessions.now_ns = moment_ns();
    server->last_look_ns = server->sessions.now_ns;
}

/* One turn without sleep. Returns true while there is a reason to stay awake. */
static bool turn(struct server *server)
{
    struct session_table *table = &server->sessions;
    table->now_ns = moment_ns();
    if (dispatch_turn(table) > 0) {
        server->last_work_ns = table->now_ns;
    }
    server->failed = server_devices_failed(server);
    bool more = server_tiers_turn(server);
    if (table->now_ns - server->last_tick_ns > TICK_NS || table->now_ns >= server->deadline_ns) {
        more = tick(server) || more;
    }
    if (table->now_ns - server->last_look_ns > LOOK_NS) {
        server->last_look_ns = table->now_ns;
        if (loop_turn(server->loop, 0) > 0) {
            table->now_ns = moment_ns();
        }
    }
    return more || table->now_ns - server->last_work_ns < server->window_ns;
}

void server_run(struct server *server)
{
    server->sessions.now_ns = moment_ns();
    server->deadline_ns = UINT64_MAX;
    server->window_ns = server->config.poll_ns;
    while (!server->stop && !server->failed) {
        if (turn(server)) {
            shared_relax();
            continue;
        }
        /* New waits may have come since the last tick, and tools want fresh numbers. */
        if (!tick(server) && !server->stop && !server->failed) {
            sleep_until_rung(server);
        }
    }
}
