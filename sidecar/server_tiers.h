/* server_tiers: the lower tiers that the configuration asks for: planned, opened, listened to,
 * closed.
 *
 * Called by server.c (plan, open, close, describe), server_run.c (turn, tick) and main (explain);
 * on the server's thread. A tier that cannot be opened is an error of the first start: a wrong key
 * or a directory that another daemon has is not passed over in silence. Always: sizes that are
 * "auto" come out the same as long as the files exist, because files of another size would be made
 * anew.
 */
#ifndef CISTERN_SIDECAR_SERVER_TIERS_H
#define CISTERN_SIDECAR_SERVER_TIERS_H

#include "sidecar/config.h"
#include "sidecar/loop.h"
#include "sidecar/tier/tier_nvme.h"
#include "sidecar/tier/tiers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* How long a clean stop may write blocks that have no copy, and then wait for the disks. */
#define SERVER_TIERS_SAVE_NS UINT64_C(5000000000)
#define SERVER_TIERS_CLOSE_NS UINT64_C(2000000000)

struct server;

/* What is there to be opened. */
struct server_tiers_plan {
    char paths[CONFIG_PATHS_BYTES]; /* cut at its colons */
    const char *directories[TIER_NVME_DIRS]; /* into `paths` */
    uint32_t directory_count; /* 0: no tier */
    uint32_t cold_blocks; /* that the index shall have room for */
    uint64_t bytes; /* of the file in each directory */
    uint64_t region_bytes;
    bool found; /* an earlier life left files */
};

struct server_tiers {
    struct server_tiers_plan plan;
    struct tiers tiers;
    struct loop_watch *watches[TIERS_MAX];
    bool open;
};

/* Fill a plan, which stays where it is. Returns 0, or STATUS_INVALID or STATUS_IO, and `why` with
 * the remedy. */
int server_tiers_plan(
    const struct config *config, struct server_tiers_plan *out_plan, char *why, size_t why_bytes);

/* Open what `server->tiers.plan` says, below the server's pool; its sessions' namespaces, of which
 * there may be some of the server before, are known to the tiers from then on. Logs what was
 * chosen. Returns 0, or a status and `why`. */
int server_tiers_open(struct server *server, char *why, size_t why_bytes);

/* One turn of the tiers, and of the copies of devices. Returns true if there is more to do at
 * once. */
bool server_tiers_turn(struct server *server);

/* Now and then. Returns the next deadline. */
uint64_t server_tiers_tick(struct server *server);

/* Save what is worth it, bounded by SERVER_TIERS_SAVE_NS, and close; the loop and the sessions are
 * still there. Accepts a server that has none open. */
void server_tiers_close(struct server *server);

/* Lines for observers: "tier nvme …". */
void server_tiers_describe(const struct server *server, char *out_text, size_t text_bytes);

/* The line of --explain; nothing is opened. */
void server_tiers_explain(const struct config *config, FILE *out);

#endif
