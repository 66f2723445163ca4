/* server_devices: the devices of a server: opened or taken over, handed to workers, listened to,
 * closed.
 *
 * Called by server.c (open, adopt, start, close, describe) and server_run.c (look, tick); on the
 * server's thread. Always: a device that fails while the server runs ends the server, whose
 * successor has a fresh context; nothing is cleaned up then, because nobody knows what the device
 * still writes (device/README.md, decision 5).
 */
#ifndef CISTERN_SIDECAR_SERVER_DEVICES_H
#define CISTERN_SIDECAR_SERVER_DEVICES_H

#include "sidecar/device/devices.h"
#include "sidecar/device/movers.h"
#include "sidecar/loop.h"
#include "sidecar/session/welcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVER_DEVICES_SETTLE_NS UINT64_C(1000000000) /* for answers to copies, at a stop */

struct server;

struct server_devices {
    struct devices devices;
    struct movers movers;
    struct loop_watch *watch;
    bool hung; /* a thread hangs in the driver: the process is to end without more ado */
};

/* Memory of each device; 0 if there are none. */
uint64_t server_devices_bytes(const struct server *server);

/* Open the devices and give them to the keeper. At a first start a device that cannot be had is an
 * error; a server that follows another one goes on without. Returns as devices_open(). */
int server_devices_open(struct server *server, char *why, size_t why_bytes);

/* The blocks of lost devices are forgotten: what workers are given from now on, and who copies. The
 * host pool is there. Returns 0, or a status and `why`. */
int server_devices_start(struct server *server, char *why, size_t why_bytes);

/* Did a device fail? Then the keeper knows, the log says it, and the process is to end at once. */
bool server_devices_failed(struct server *server);

/* Now and then. */
void server_devices_tick(struct server *server);

/* Wait for copies that are under way, and close all; the sessions are still there. Sets `hung` if
 * that cannot be; then the host pool stays mapped. Accepts a server that has none. */
void server_devices_close(struct server *server);

/* Lines for observers. */
void server_devices_describe(const struct server *server, char *out_text, size_t text_bytes);

#endif
