/* smith: see smith.h. */
#include "tests/gpu-double/smith.h"

#define MOST 64u
#define COUNTER WORKER_BLOCK_BYTES /* in the desk's tensors, behind one block */

void smith_open(struct smith *smith, struct child_page *page, const struct daemon *daemon)
{
    desk_open_in_place(&smith->desk, page, daemon);
    kernels_open(&smith->kernels, page, smith->desk.bed.driver.library);
}

void smith_close(struct smith *smith)
{
    kernels_close(&smith->kernels);
    desk_close(&smith->desk);
}

/* What others have pinned, or under copies, comes home soon, and so does a sidecar. */
static size_t lend(struct smith *smith, size_t count, struct cistern_slot *out_slots)
{
    uint64_t deadline = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    size_t lent = 0;
    int status = CISTERN_BUSY;
    while (lent == 0 && child_now_ns() < deadline) {
        status =
            cistern_device_reserve(smith->desk.device, count, WORKER_WAIT_NS, out_slots, &lent);
        if (status != CISTERN_OK) {
            (void)cistern_device_drain(smith->desk.device, 0);
            child_nap();
        }
    }
    child_need(smith->desk.bed.page, status == CISTERN_OK, "reserve: %s: %s",
        cistern_status_name(status), cistern_why());
    return lent;
}

void smith_put(struct smith *smith, uint64_t first, size_t count)
{
    struct driver_stream *stream = smith->desk.stream.stream;
    for (uint64_t number = first; number < first + count;) {
        struct cistern_slot slots[MOST];
        struct cistern_key keys[MOST];
        struct cistern_key parent = worker_key(number - 1);
        size_t left = first + count - number;
        size_t lent = lend(smith, left < MOST ? left : MOST, slots);
        for (size_t i = 0; i < lent; i++) {
            keys[i] = worker_key(number + i);
            kernels_fill(&smith->kernels, stream, (uint64_t)(uintptr_t)slots[i].data,
                WORKER_BLOCK_BYTES, number + i, 0);
        }
        int status = cistern_device_commit(smith->desk.device, slots, keys,
            number == first ? NULL : &parent, lent, WORKER_BLOCK_BYTES, stream);
        child_need(smith->desk.bed.page, status == CISTERN_OK, "commit: %s", cistern_why());
        number += lent;
    }
}

void smith_settle(struct smith *smith)
{
    int status = cistern_device_drain(smith->desk.device, WORKER_WAIT_NS);
    child_need(smith->desk.bed.page, status == CISTERN_OK, "drain: %s", cistern_why());
    status = cistern_flush(smith->desk.handle, WORKER_WAIT_NS);
    child_need(smith->desk.bed.page, status == CISTERN_OK, "flush: %s", cistern_why());
}

void smith_make(struct smith *smith, uint64_t first, size_t count)
{
    smith_put(smith, first, count);
    smith_settle(smith);
}

void smith_check(struct smith *smith, struct cistern_view *view, uint64_t number)
{
    struct bed *bed = &smith->desk.bed;
    struct driver_stream *stream = smith->desk.stream.stream;
    uint64_t errors = slab_address(&smith->desk.tensors, COUNTER);
    uint64_t wrong = 1;
    struct cistern_piece copy = {
        .address = slab_address(&smith->desk.tensors, 0), .bytes = WORKER_BLOCK_BYTES};
    child_need(bed->page, view->bytes == WORKER_BLOCK_BYTES, "%llu bytes",
        (unsigned long long)view->bytes);
    bool here = view->tier == CISTERN_TIER_DEVICE;
    uint64_t at = here ? (uint64_t)(uintptr_t)view->data : copy.address;
    int status =
        here ? CISTERN_OK : cistern_device_read(smith->desk.device, view, 1, &copy, 1, stream);
    child_need(bed->page, status == CISTERN_OK, "read: %s", cistern_why());
    int result = bed->driver.cuMemsetD8Async(errors, 0, sizeof wrong, stream);
    kernels_check(&smith->kernels, stream, at, WORKER_BLOCK_BYTES, number, 0, errors);
    result |= bed->driver.cuMemcpyDtoHAsync(&wrong, errors, sizeof wrong, stream);
    status = here ? cistern_device_release(smith->desk.device, view, 1, stream) : CISTERN_OK;
    child_need(bed->page, status == CISTERN_OK, "release: %s", cistern_why());
    result |= bed->driver.cuStreamSynchronize(stream);
    child_need(bed->page, result == DRIVER_SUCCESS, "stream: %d", result);
    child_need(bed->page, wrong == 0, "%llu wrong words in block %llu, tier %u",
        (unsigned long long)wrong, (unsigned long long)number, view->tier);
    /* Its release may have found no seat: what is not pinned any more may be asked for. */
    status = cistern_device_drain(smith->desk.device, WORKER_WAIT_NS);
    child_need(bed->page, status == CISTERN_OK, "drain: %s", cistern_why());
}

int smith_look(struct smith *smith, uint64_t number, uint32_t *out_tier)
{
    struct cistern_key key = worker_key(number);
    struct cistern_view view;
    size_t count = 0;
    int status = cistern_acquire(smith->desk.handle, &key, 1, &view, &count);
    if (status == CISTERN_OK) {
        *out_tier = view.tier;
        smith_check(smith, &view, number);
    }
    return status;
}

void smith_find(struct smith *smith, uint64_t number, uint32_t tier)
{
    uint64_t deadline = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    uint32_t found = SMITH_ANY;
    int status = smith_look(smith, number, &found);
    while ((status != CISTERN_OK || (tier != SMITH_ANY && found != tier)) &&
           child_now_ns() < deadline) {
        child_nap();
        status = smith_look(smith, number, &found);
    }
    child_need(smith->desk.bed.page, status == CISTERN_OK && (tier == SMITH_ANY || found == tier),
        "block %llu: %s: %s, tier %u", (unsigned long long)number, cistern_status_name(status),
        cistern_why(), found);
}
