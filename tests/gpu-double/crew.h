/* crew: devices with their movers, and a host pool, in a child; and copies between them. */
#ifndef CISTERN_TESTS_GPU_DOUBLE_CREW_H
#define CISTERN_TESTS_GPU_DOUBLE_CREW_H

#include "sidecar/device/movers.h"
#include "tests/gpu-double/fleet.h"

#define CREW_HOST_BYTES (UINT64_C(32) << 20)
#define CREW_DONES 1024u /* cookies are below it */

struct crew {
    struct fleet fleet;
    struct movers movers;
    struct mover mover;
    unsigned char *host;
    uint32_t answered; /* copies, in all */
    uint32_t answers[CREW_DONES]; /* to each cookie */
    int status[CREW_DONES]; /* the last of each */
};

/* In a child: open all of it. `out` stays where it is. */
void crew_open(
    struct crew *crew, struct child_page *page, const char *switches, const char *which, int log);
void crew_close(struct crew *crew);

/* Ask for a copy, and poll until it is accepted. */
void crew_start(struct crew *crew, const struct move_copy *copy);

/* Poll until so many were answered, in all; between polls that bring nothing it sleeps until it is
 * rung. */
void crew_await(struct crew *crew, uint32_t answered);

/* Wait until a device is lost. */
void crew_await_loss(struct crew *crew);

/* Fill host memory with what only `number` looks like; is it there? */
void crew_fill(struct crew *crew, uint64_t offset, uint64_t bytes, uint64_t number);
bool crew_holds(const struct crew *crew, uint64_t offset, uint64_t bytes, uint64_t number);

#endif
