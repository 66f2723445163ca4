/* server_devices: see server_devices.h. */
#include "sidecar/server_devices.h"

#include "shm/status.h"
#include "sidecar/block/move.h"
#include "sidecar/moment.h"
#include "sidecar/server.h"
#include "sidecar/session/reply.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOOK_NS INT64_C(1000000)

static_assert((int)CONFIG_PROMOTE_SECOND_USE == (int)MOVE_SECOND_USE &&
                  (int)CONFIG_PROMOTE_ALWAYS == (int)MOVE_ALWAYS &&
                  (int)CONFIG_PROMOTE_NEVER == (int)MOVE_NEVER,
    "a choice is the block layer's");

uint64_t server_devices_bytes(const struct server *server)
{
    return server->devices.devices.count > 0 ? server->config.device_pool_bytes : 0;
}

int server_devices_open(struct server *server, char *why, size_t why_bytes)
{
    struct devices *devices = &server->devices.devices;
    int status = devices_open(devices, &server->config, server->log, why, why_bytes);
    if (status == STATUS_OK) {
        status = devices_hold(devices, server->keep);
        if (status != STATUS_OK) {
            (void)snprintf(why, why_bytes, "the keeper does not answer");
        }
    } else if (server->again && !devices_told_to_end()) {
        log_line(server->log, LOG_ERROR, "device",
            "%s: %s; going on with host memory alone until the next start", status_name(status),
            why);
        status = STATUS_OK;
    }
    return status;
}

/* The loop only has to wake up: every turn looks at the movers. */
static void mover_spoke(void *context, uint32_t what)
{
    (void)context;
    (void)what;
}

int server_devices_start(struct server *server, char *why, size_t why_bytes)
{
    struct server_devices *at = &server->devices;
    if (at->devices.count == 0) {
        return STATUS_OK;
    }
    devices_refill(&at->devices, &server->config, server->keep, server->log);
    for (uint32_t i = 0; i < at->devices.count; i++) {
        if (!at->devices.gift[i].usable) {
            pool_tier_off(&server->blocks.pool, slot_tier_of_device(i));
        }
    }
    int status = movers_open(&at->movers, &at->devices, server->memory.pool.segment.base,
        server->memory.pool.segment.bytes, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    status = loop_watch(
        server->loop, movers_fd(&at->movers), LOOP_EDGE, mover_spoke, server, &at->watch);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "copies of devices cannot be watched: %s", strerror(errno));
        return status;
    }
    const struct mover mover = movers_mover(&at->movers);
    server->blocks.moves.promote = (enum move_promote)server->config.device_promote;
    move_attach(&server->blocks, &mover);
    return STATUS_OK;
}

bool server_devices_failed(struct server *server)
{
    struct server_devices *at = &server->devices;
    uint32_t number = 0;
    const char *why = "";
    if (!movers_lost(&at->movers, &number, &why)) {
        return false;
    }
    devices_failed(&at->devices, number, server->keep);
    log_line(server->log, LOG_ERROR, "device", "device %u is lost: %s; this server ends, and %s",
        number, why,
        server->keep == NULL ? "nothing keeps its memory; remedy: start it again"
                             : "the next one goes on with its memory");
    return true;
}

void server_devices_tick(struct server *server)
{
    if (server->devices.movers.count > 0) {
        movers_tick(&server->devices.movers, server->log);
        server->blocks.moves.promote = (enum move_promote)server->config.device_promote;
    }
}

/* Take the answers to what is under way, so that the block layer lets go of its mover. */
static void settle(struct server *server)
{
    uint64_t until_ns = moment_ns() + SERVER_DEVICES_SETTLE_NS;
    while (!move_idle(&server->blocks) && server->sessions.now_ns < until_ns) {
        server->sessions.now_ns = moment_ns();
        struct fetch_means means = reply_means(&server->sessions);
        if (move_turn(&server->blocks, &means) == 0) {
            (void)loop_turn(server->loop, LOOK_NS);
        }
    }
    if (move_idle(&server->blocks)) {
        move_attach(&server->blocks, NULL);
    }
}

void server_devices_close(struct server *server)
{
    struct server_devices *at = &server->devices;
    if (at->devices.count == 0) {
        return;
    }
    if (move_can(&server->blocks)) {
        settle(server);
    }
    loop_unwatch(server->loop, at->watch);
    at->watch = NULL;
    if (!movers_close(&at->movers)) {
        at->hung = true;
        log_line(server->log, LOG_ERROR, "device",
            "a copy does not end: the process ends without waiting for it any longer; remedy: "
            "nvidia-smi and the kernel's log say more");
        return;
    }
    devices_close(&at->devices);
}

void server_devices_describe(const struct server *server, char *out_text, size_t text_bytes)
{
    out_text[0] = '\0';
    devices_describe(
        &server->devices.devices, movers_locked(&server->devices.movers), out_text, text_bytes);
}
