/* cold_scene: a sidecar with a cold tier in a folder of the test's own, and workers on it.
 *
 * Blocks form chains of COLD_CHAIN, chain c being the blocks c * COLD_CHAIN and on (worker.h): a
 * chain is fetched and read as a prefix is.
 */
#ifndef CISTERN_TESTS_E2E_COLD_SCENE_H
#define CISTERN_TESTS_E2E_COLD_SCENE_H

#include "tests/e2e/daemon.h"
#include "tests/e2e/gauge.h"
#include "tests/e2e/worker.h"

#define COLD_CHAIN 20u
#define COLD_CHAINS 20u /* 400 blocks of 64 KiB: more than the pool of 16 MiB holds */
#define COLD_SIZE_MIB 256u
#define COLD_FLAG_BYTES 160

struct cold_scene {
    struct daemon daemon;
    char folder[64]; /* where the tier keeps its file */
    char flags[4][COLD_FLAG_BYTES]; /* the daemon's; they live as long as it */
};

/* A folder, and a sidecar that stores all that leaves the pool there. `io` is "uring" or "threads";
 * `more` a further flag or NULL. Returns false after a line on stderr. */
bool cold_open(struct cold_scene *out_scene, const char *io, const char *more);

/* Stop the sidecar if it runs, and remove the folder. */
void cold_close(struct cold_scene *scene);

/* The tier's file, opened for the test to spoil; -1: there is none. */
int cold_file(const struct cold_scene *scene);

/* In a child: commit all chains, at the pace at which the tier takes blocks down. */
int cold_fill(struct cold_scene *scene);

/* In a child: bring every chain up and read every byte that came. Returns the exit status of the
 * child; `*out_blocks` is how many blocks were there and right. */
int cold_read(struct cold_scene *scene, uint64_t *out_blocks);

#endif
