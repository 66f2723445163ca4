/* stand: a worker's handle with a device, and a double of the sidecar that has memory of it. In a
 * child, as bed is; the double of the sidecar is a thread of that process, the memory its own.
 */
#ifndef CISTERN_TESTS_GPU_DOUBLE_STAND_H
#define CISTERN_TESTS_GPU_DOUBLE_STAND_H

#include "cuda/copy.h"
#include "libclient/include/cistern_device.h"
#include "tests/gpu-double/bed.h"
#include "tests/unit/libclient/double_server.h"

#include <string.h>

#define STAND_KEYS 16u
#define STAND_POOL UINT64_C(0x1122334455667788)
#define STAND_WAIT_NS INT64_C(20000000000)

struct stand {
    struct bed bed;
    struct slab_pool slabs; /* as the double of the sidecar has them */
    struct double_device offer;
    struct double_server server;
    char folder[64];
    char path[90];
    struct cistern_namespace space;
    struct cistern_options options; /* with device "auto" */
    cistern_t *handle;
    cistern_device_t *device;
    struct copy_stream stream; /* an engine's */
    struct cistern_key keys[STAND_KEYS]; /* one prefix */
};

/* Memory, and the double of a sidecar; no handle yet. No operation is late. Ends the process on
 * failure, as all of these. */
void stand_start(struct stand *stand, struct child_page *page);

/* The handle, and its device. */
void stand_open(struct stand *stand);

/* All of it. stand_close() also fails if the double of the driver saw a violation. */
void stand_close(struct stand *stand);

/* The same memory, or other, under another number, at a double of a sidecar that starts anew. */
void stand_restart(struct stand *stand, uint64_t epoch);
void stand_make(struct stand *stand, uint64_t pool);

/* A block in the device: `value` in every byte, in device slot `at` and at that place. */
void stand_add(struct stand *stand, uint32_t key, uint32_t at, uint8_t value);

/* One view: its tier, and every byte. */
void stand_see(struct stand *stand, const struct cistern_view *view, uint32_t tier, uint8_t value);

/* Acquire one key, see it, release it. */
void stand_find(struct stand *stand, cistern_t *handle, uint32_t key, uint32_t tier, uint8_t value);

/* Bytes of the device that nobody holds. */
uint64_t stand_free_bytes(const struct stand *stand);

/* `call` returns `wanted`. */
#define STAND_EXPECT(stand, wanted, call) \
    do { \
        int got_ = (call); \
        child_need((stand)->bed.page, got_ == (wanted), "%s: %d, %s", #call, got_, cistern_why()); \
    } while (0)

#endif
