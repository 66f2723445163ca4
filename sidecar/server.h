/* server: owns the parts of one sidecar, in the order in which they need each other.
 *
 *   devices ─▶ memory (pool, index, ledger)         fresh, or of the server before
 *                └─▶ blocks ─▶ loop ─▶ sessions ─▶ copies of devices ─▶ tiers ─▶ door
 *
 * Called by main. One thread, one loop: it polls the lanes while requests come, then sleeps until a
 * bell, the door, a process or a deadline wakes it. Nothing is global: two may live in one process.
 */
#ifndef CISTERN_SIDECAR_SERVER_H
#define CISTERN_SIDECAR_SERVER_H

#include "cuda/device.h"
#include "sidecar/block/blocks.h"
#include "sidecar/config.h"
#include "sidecar/host.h"
#include "sidecar/log.h"
#include "sidecar/loop.h"
#include "sidecar/recover.h"
#include "sidecar/server_devices.h"
#include "sidecar/server_tiers.h"
#include "sidecar/session/door.h"
#include "sidecar/session/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVER_WHY 512u

struct server {
    struct config config; /* its own; changed by server_reload() */
    struct host host;
    struct log *log;
    struct keep *keep; /* NULL: no keeper; the caller's */
    struct recover_memory memory;
    struct index_header *header;
    struct blocks blocks;
    struct loop *loop;
    struct session_table sessions;
    struct server_devices devices;
    struct server_tiers tiers;
    struct door door;
    int index_readonly;
    int pool_readonly;
    uint64_t started_ns;
    uint64_t last_work_ns; /* when a request was last handled */
    uint64_t window_ns; /* how long to poll after it; grows from `poll` and falls back to it */
    uint64_t last_look_ns; /* when the loop was last asked, while polling */
    uint64_t last_tick_ns;
    uint64_t deadline_ns; /* of claims, waits and quarantine */
    uint32_t sleep_number;
    bool again; /* there was a server before it */
    bool stop;
    bool failed; /* a device failed: the process is to end, and nothing to be closed */
};

/* Build everything; `config` is resolved. `out_server` stays where it is. What was chosen, and why,
 * goes to the log. `keep` (NULL: none) holds the memory for the next server, and that of the one
 * before, which is taken over if it fits. Returns 0 or a status, and then `why` says what is wrong
 * and the remedy. */
int server_open(struct server *out_server, const struct config *config, const struct host *host,
    struct log *log, struct keep *keep, char *why, size_t why_bytes);

/* Serve until server_stop(), or until a device fails (`failed`). */
void server_run(struct server *server);

/* End server_run() after its present turn; from a callback of its loop. */
void server_stop(struct server *server);

/* Take over what may change while running. */
void server_reload(struct server *server, const struct config *fresh);

/* The lines for observers; `context` is the server. */
void server_describe(void *context, char *out_text, size_t text_bytes);

/* Tell the clients that it is over (the epoch), and give everything back. Accepts a server whose
 * open failed. */
void server_close(struct server *server);

#endif
