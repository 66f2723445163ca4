/* stand: see stand.h. */
#include "tests/gpu-double/stand.h"

#include "shm/status.h"
#include "tests/check.h"
#include "tests/e2e/worker.h"

#include <stdlib.h>
#include <unistd.h>

void stand_make(struct stand *stand, uint64_t pool)
{
    struct bed *bed = &stand->bed;
    int status = slab_make(
        &bed->gpu, SLAB_VMM, DOUBLE_SLABS, BED_SLAB_BYTES, &stand->slabs, bed->why, BED_WHY);
    child_need(bed->page, status == STATUS_OK, "%s", bed->why);
    stand->offer =
        (struct double_device){.kind = HELLO_SLABS_FD, .slab_bytes = BED_SLAB_BYTES, .pool = pool};
    for (uint32_t i = 0; i < DOUBLE_SLABS; i++) {
        stand->offer.fds[i] = stand->slabs.slab[i].fd;
    }
}

void stand_restart(struct stand *stand, uint64_t epoch)
{
    double_start_with(&stand->server, stand->path, epoch, NULL, &stand->offer);
}

void stand_start(struct stand *stand, struct child_page *page)
{
    memset((void *)stand, 0, sizeof *stand);
    bed_open(&stand->bed, page, "delay_us=0,devices=2", "auto");
    (void)snprintf(stand->folder, sizeof stand->folder, "/tmp/cistern-test-XXXXXX");
    child_need(page, mkdtemp(stand->folder) != NULL, "no folder");
    (void)snprintf(stand->path, sizeof stand->path, "%s/socket", stand->folder);
    stand_make(stand, STAND_POOL);
    stand_restart(stand, 1);
    for (uint32_t i = 0; i < STAND_KEYS; i++) {
        stand->keys[i] = worker_key(i);
    }
    stand->space = (struct cistern_namespace){
        .size = sizeof stand->space,
        .block_tokens = 16,
        .block_bytes = DOUBLE_BLOCK,
        .name = "test",
        .layers = 2,
    };
    stand->options = (struct cistern_options){
        .size = sizeof stand->options,
        .space = &stand->space,
        .socket_path = stand->path,
        .timeout_ns = STAND_WAIT_NS,
        .device = "auto",
    };
}

void stand_open(struct stand *stand)
{
    STAND_EXPECT(stand, CISTERN_OK, cistern_open(&stand->options, &stand->handle));
    STAND_EXPECT(stand, CISTERN_OK, cistern_device_ready(stand->handle));
    STAND_EXPECT(stand, CISTERN_OK, cistern_device_open(stand->handle, NULL, &stand->device));
    child_need(stand->bed.page, copy_open(&stand->bed.gpu, &stand->stream) == STATUS_OK, "stream");
}

void stand_close(struct stand *stand)
{
    cistern_device_close(&stand->device);
    cistern_close(&stand->handle);
    copy_close(&stand->stream);
    double_stop(&stand->server);
    slab_close(&stand->slabs);
    bed_close(&stand->bed);
    (void)rmdir(stand->folder);
}

void stand_add(struct stand *stand, uint32_t key, uint32_t at, uint8_t value)
{
    uint64_t offset = (uint64_t)at * DOUBLE_BLOCK;
    bed_fill(&stand->bed, slab_address(&stand->slabs, offset), DOUBLE_BLOCK, value);
    double_add_on(&stand->server, &stand->keys[key], DOUBLE_OWN + at, offset, DOUBLE_BLOCK);
}

void stand_see(struct stand *stand, const struct cistern_view *view, uint32_t tier, uint8_t value)
{
    struct child_page *page = stand->bed.page;
    child_need(page, view->tier == tier, "tier %u, not %u", view->tier, tier);
    child_need(page, view->bytes == DOUBLE_BLOCK, "%llu bytes", (unsigned long long)view->bytes);
    if (tier == CISTERN_TIER_DEVICE) {
        child_need(page,
            bed_holds(&stand->bed, (uint64_t)(uintptr_t)view->data, view->bytes, value),
            "not %u on the device", value);
    } else {
        const uint8_t *data = view->data;
        child_need(
            page, data[0] == value && data[view->bytes - 1] == value, "%u, not %u", data[0], value);
    }
}

void stand_find(struct stand *stand, cistern_t *handle, uint32_t key, uint32_t tier, uint8_t value)
{
    struct cistern_view view;
    size_t count = 0;
    STAND_EXPECT(stand, CISTERN_OK, cistern_acquire(handle, &stand->keys[key], 1, &view, &count));
    stand_see(stand, &view, tier, value);
    STAND_EXPECT(stand, CISTERN_OK, cistern_release(handle, &view, 1));
}

uint64_t stand_free_bytes(const struct stand *stand)
{
    size_t free_bytes = 0;
    size_t all_bytes = 0;
    int result = stand->bed.driver.cuMemGetInfo(&free_bytes, &all_bytes);
    child_need(stand->bed.page, result == DRIVER_SUCCESS, "memory: %d", result);
    return free_bytes;
}
