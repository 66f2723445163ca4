/* desk: see desk.h. */
#include "tests/gpu-double/desk.h"

#include "shm/status.h"
#include "tests/e2e/worker.h"

static void open_desk(struct desk *desk, struct child_page *page, const struct daemon *daemon,
    uint32_t flags, const char *device)
{
    struct bed *bed = &desk->bed;
    bed_open(bed, page, "delay_us=0", "auto");
    int status =
        slab_make(&bed->gpu, SLAB_VMM, 1, BED_SLAB_BYTES, &desk->tensors, bed->why, BED_WHY);
    child_need(page, status == STATUS_OK, "%s", bed->why);
    child_need(page, copy_open(&bed->gpu, &desk->stream) == STATUS_OK, "no stream");
    desk->handle = worker_open_on(page, daemon->socket, flags, device);
    status = cistern_device_open(desk->handle, "auto", &desk->device);
    child_need(page, status == CISTERN_OK, "device: %s", cistern_why());
}

void desk_open(
    struct desk *desk, struct child_page *page, const struct daemon *daemon, uint32_t flags)
{
    open_desk(desk, page, daemon, flags, NULL);
}

void desk_open_in_place(struct desk *desk, struct child_page *page, const struct daemon *daemon)
{
    open_desk(desk, page, daemon, 0, "auto");
    int status = cistern_device_ready(desk->handle);
    child_need(page, status == CISTERN_OK, "not in place: %s", cistern_why());
}

void desk_close(struct desk *desk)
{
    cistern_device_close(&desk->device);
    cistern_device_close(&desk->device);
    cistern_close(&desk->handle);
    copy_close(&desk->stream);
    slab_close(&desk->tensors);
    bed_close(&desk->bed);
}
