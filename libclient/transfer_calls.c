/* transfer_calls: the four calls that give views or slots to a stream. See transfer.h. */
#include "libclient/transfer.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <string.h>

/* Where the bytes of blocks go to or come from; `list` NULL: they stay where they are. */
struct pieces {
    const struct copy_piece *list;
    size_t each; /* of a block */
};

static const struct copy_piece *pieces_of(const struct pieces *pieces, size_t at)
{
    return pieces->each == 0 ? NULL : pieces->list + at * pieces->each;
}

/* Of block `at`. */
static uint64_t sum(const struct pieces *pieces, size_t at)
{
    const struct copy_piece *list = pieces_of(pieces, at);
    uint64_t bytes = 0;
    for (size_t i = 0; i < pieces->each; i++) {
        bytes = list[i].bytes > UINT64_MAX - bytes ? UINT64_MAX : bytes + list[i].bytes;
    }
    return bytes;
}

/* Only the handle's own device maps the sidecar's memory of it: a copy by another one would break
 * that one's context. */
static bool reaches(const struct cistern_device *device, bool host)
{
    return host || transfer_in_place(device);
}

static int give_views(struct cistern_device *device, const char *what, struct cistern_view *views,
    size_t count, const struct pieces *pieces, void *stream)
{
    for (size_t i = 0; i < count; i++) {
        if (!reaches(device, views[i].tier == CISTERN_TIER_HOST)) {
            return why_failed(
                STATUS_INVALID, "%s: view %zu is of another device than this", what, i);
        }
        if (views[i].data == NULL || sum(pieces, i) > views[i].bytes) {
            return why_failed(STATUS_INVALID,
                "%s: view %zu is released, or its pieces are more than its bytes", what, i);
        }
    }
    struct driver_context *former;
    struct transfer_job *job;
    int status = transfer_begin(device, count, false, &job, &former);
    if (status != STATUS_OK) {
        return status;
    }
    memcpy(job->views, views, count * sizeof *views);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = copy_scatter(&device->card->gpu, stream, (uint64_t)(uintptr_t)views[i].data,
            pieces_of(pieces, i), pieces->each);
    }
    status = transfer_follow(device, job, stream, status, former);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        views[i].data = NULL;
        views[i].opaque[2] = 0; /* the device's now: releasing it again is found out */
    }
    return status;
}

int cistern_device_read(cistern_device_t *device, struct cistern_view *views, size_t count,
    const struct cistern_piece *pieces, size_t pieces_each, void *stream)
{
    const struct pieces all = {.list = (const struct copy_piece *)pieces, .each = pieces_each};
    if (device == NULL || views == NULL || pieces == NULL || count == 0 || pieces_each == 0) {
        return why_failed(STATUS_INVALID, "cistern_device_read: an argument is NULL, or 0");
    }
    return give_views(device, "cistern_device_read", views, count, &all, stream);
}

int cistern_device_release(
    cistern_device_t *device, struct cistern_view *views, size_t count, void *stream)
{
    const struct pieces none = {.list = NULL};
    if (device == NULL || views == NULL || count == 0) {
        return why_failed(STATUS_INVALID, "cistern_device_release: an argument is NULL, or 0");
    }
    return give_views(device, "cistern_device_release", views, count, &none, stream);
}

/* What becomes of slots: their chain, and how many bytes of each, if no pieces say so. */
struct chain {
    const struct cistern_key *keys;
    const struct cistern_key *parent;
    uint64_t bytes;
};

static uint64_t bytes_of(const struct chain *chain, const struct pieces *pieces, size_t at)
{
    return pieces->each == 0 ? chain->bytes : sum(pieces, at);
}

static int check_slots(struct cistern_device *device, const char *what,
    const struct cistern_slot *slots, size_t count, const struct chain *chain,
    const struct pieces *pieces)
{
    if ((device->handle->hello.flags & HELLO_LATE_WRITES) == 0) {
        return why_failed(STATUS_INVALID,
            "%s: a GPU may write after our death: open the handle with CISTERN_LATE_WRITES", what);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = bytes_of(chain, pieces, i);
        if (!reaches(device, book_of_slot(slots[i].opaque) == BOOK_HOST)) {
            return why_failed(
                STATUS_INVALID, "%s: slot %zu is of another device than this", what, i);
        }
        if (slots[i].data == NULL || bytes == 0 || bytes > slots[i].bytes) {
            return why_failed(
                STATUS_INVALID, "%s: slot %zu is not lent, or its bytes do not fit", what, i);
        }
    }
    return STATUS_OK;
}

static int give_slots(struct cistern_device *device, const char *what, struct cistern_slot *slots,
    size_t count, const struct chain *chain, const struct pieces *pieces, void *stream)
{
    struct driver_context *former;
    struct transfer_job *job;
    int status = check_slots(device, what, slots, count, chain, pieces);
    if (status == STATUS_OK) {
        status = transfer_begin(device, count, true, &job, &former);
    }
    if (status != STATUS_OK) {
        return status;
    }
    memcpy(job->slots, slots, count * sizeof *slots);
    memcpy(job->keys, chain->keys, count * sizeof *chain->keys);
    job->has_parent = chain->parent != NULL;
    job->parent = chain->parent != NULL ? *chain->parent : (struct cistern_key){{0}};
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        job->bytes[i] = bytes_of(chain, pieces, i);
        status = copy_gather(&device->card->gpu, stream, (uint64_t)(uintptr_t)slots[i].data,
            pieces_of(pieces, i), pieces->each);
    }
    status = transfer_follow(device, job, stream, status, former);
    if (status == STATUS_OK) {
        memset(slots, 0, count * sizeof *slots);
    }
    return status;
}

int cistern_device_write(cistern_device_t *device, struct cistern_slot *slots,
    const struct cistern_key *keys, const struct cistern_key *parent, size_t count,
    const struct cistern_piece *pieces, size_t pieces_each, void *stream)
{
    const struct pieces all = {.list = (const struct copy_piece *)pieces, .each = pieces_each};
    const struct chain chain = {.keys = keys, .parent = parent};
    if (device == NULL || slots == NULL || keys == NULL || pieces == NULL || count == 0 ||
        pieces_each == 0) {
        return why_failed(STATUS_INVALID, "cistern_device_write: an argument is NULL, or 0");
    }
    return give_slots(device, "cistern_device_write", slots, count, &chain, &all, stream);
}

int cistern_device_commit(cistern_device_t *device, struct cistern_slot *slots,
    const struct cistern_key *keys, const struct cistern_key *parent, size_t count, uint64_t bytes,
    void *stream)
{
    const struct pieces none = {.list = NULL};
    const struct chain chain = {.keys = keys, .parent = parent, .bytes = bytes};
    if (device == NULL || slots == NULL || keys == NULL || count == 0) {
        return why_failed(STATUS_INVALID, "cistern_device_commit: an argument is NULL, or 0");
    }
    return give_slots(device, "cistern_device_commit", slots, count, &chain, &none, stream);
}
