/* nvme_world: a tier on a directory of its own, and blocks that can be checked.
 *
 * A block is a stream seeded with its number, so that a byte that is not its own is seen. Waits end
 * with their condition, or fail the test after WORLD_WAIT_NS.
 */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_TIER_NVME_WORLD_H
#define CISTERN_TESTS_UNIT_SIDECAR_TIER_NVME_WORLD_H

#include "sidecar/log.h"
#include "sidecar/tier/disk.h"
#include "sidecar/tier/tier_nvme.h"

#include "tests/unit/sidecar/tier/folder.h"

#define WORLD_WAIT_NS UINT64_C(60000000000)
#define WORLD_MIB (UINT64_C(1) << 20)
#define WORLD_BLOCK (256u << 10) /* the largest */
#define WORLD_BYTES (81 * WORLD_MIB) /* five regions of 16 MiB */
#define WORLD_BUFFERS 64u

struct nvme_world {
    struct folder folder;
    int log_file; /* what was logged */
    struct log log;
    struct tier_nvme_options options;
    struct tier *tier;
    char why[1024];
    uint8_t *memory; /* WORLD_BUFFERS of WORLD_BLOCK */
    uint32_t found; /* events seen */
    uint32_t lost;
    uint32_t parts;
    struct tier_done last; /* STORED or LOADED */
    uint32_t done; /* how many of those */
    uint32_t good; /* of them with OK */
    void (*see)(void *context, const struct tier_done *done); /* every event, or NULL */
    void *context;
};

void nvme_world_open(struct nvme_world *out_world);
void nvme_world_close(struct nvme_world *world);

/* Open the tier; returns its status. */
int nvme_world_start(struct nvme_world *world, const struct disk_ops *engine);
void nvme_world_stop(struct nvme_world *world);

/* The page-aligned memory of one buffer. */
uint8_t *nvme_world_buffer(const struct nvme_world *world, uint32_t buffer);

struct tier_id nvme_world_id(uint64_t number);
void nvme_world_fill(uint64_t number, void *out_data, uint64_t bytes);
bool nvme_world_is(uint64_t number, const void *data, uint64_t bytes);

/* Begin; returns what the tier says. */
int nvme_world_store(struct nvme_world *world, uint64_t number, uint64_t bytes, uint32_t buffer);
int nvme_world_load(struct nvme_world *world, uint64_t number, uint32_t buffer);

/* Take events until so many operations are done. */
void nvme_world_wait(struct nvme_world *world, uint32_t done);

/* Take events until the recovery is over: `blocks` are found. */
void nvme_world_wait_found(struct nvme_world *world, uint32_t blocks);

/* Take events until `world->lost` reaches it. */
void nvme_world_wait_lost(struct nvme_world *world, uint32_t blocks);

/* Store and wait; load, wait and compare. Return the status of the event, or of the refusal. */
int nvme_world_put(struct nvme_world *world, uint64_t number, uint64_t bytes);
int nvme_world_get(struct nvme_world *world, uint64_t number, uint64_t bytes);

struct tier_health nvme_world_health(const struct nvme_world *world);

/* Was this logged? */
bool nvme_world_said(const struct nvme_world *world, const char *text);

/* The tier's file, opened for reading and writing, past the tier. */
int nvme_world_file(const struct nvme_world *world);

#endif
