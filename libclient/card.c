/* card: see card.h. */
#include "libclient/card.h"

#include "libclient/core.h"
#include "libclient/reattach.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <stdio.h>
#include <string.h>

int card_open(struct card *card, const char *which, char *why, size_t why_bytes)
{
    char opened[CARD_WHY];
    int status = driver_open(&card->driver, why, why_bytes);
    if (status != STATUS_OK) {
        return STATUS_UNSUPPORTED;
    }
    status = gpu_choose(&card->driver, which, &card->gpu, why, why_bytes);
    if (status == STATUS_OK) {
        status = gpu_open(&card->gpu, opened, sizeof opened);
        if (status != STATUS_OK) {
            (void)snprintf(why, why_bytes, "%s", opened);
        }
    }
    if (status != STATUS_OK) {
        driver_close(&card->driver);
    }
    return status;
}

void card_close(struct card *card)
{
    if (card_is_open(card)) {
        gpu_close(&card->gpu);
        driver_close(&card->driver);
    }
}

/* A stream for cistern_get(). */
static int open_stream(struct cistern *handle)
{
    struct driver_context *former;
    int status = gpu_enter(&handle->card.gpu, &former);
    if (status == STATUS_OK) {
        status = copy_open(&handle->card.gpu, &handle->copies);
        gpu_leave(&handle->card.gpu, former);
    }
    if (status != STATUS_OK) {
        (void)snprintf(
            handle->card_why, sizeof handle->card_why, "no stream on %s", handle->card.gpu.name);
        card_close(&handle->card);
    }
    return status;
}

int card_choose(struct cistern *handle, const char *which)
{
    handle->card_status = STATUS_UNSUPPORTED;
    if (which == NULL || which[0] == '\0' || strcmp(which, "none") == 0) {
        (void)snprintf(handle->card_why, sizeof handle->card_why,
            "no device was asked for; remedy: cistern_options.device, \"auto\" or a UUID");
        return STATUS_OK;
    }
    if ((handle->hello.flags & HELLO_ISOLATED) != 0) {
        (void)snprintf(handle->card_why, sizeof handle->card_why,
            "a handle with CISTERN_ISOLATED has no device: who maps a device's memory can write "
            "it");
        return STATUS_OK;
    }
    int status = card_open(&handle->card, which, handle->card_why, sizeof handle->card_why);
    if (status == STATUS_OK) {
        status = open_stream(handle);
    }
    if (status != STATUS_OK) {
        handle->card_status = status;
        return strcmp(which, "auto") == 0 ? STATUS_OK : why_failed(status, "%s", handle->card_why);
    }
    handle->card_status = STATUS_OK;
    handle->hello.flags |= HELLO_DEVICE | HELLO_LATE_WRITES;
    memcpy(handle->hello.device, handle->card.gpu.uuid.byte, sizeof handle->hello.device);
    return STATUS_OK;
}

void card_end(struct cistern *handle, bool forked)
{
    struct driver_context *former;
    if (!card_is_open(&handle->card) || forked) {
        slabs_close(handle->aside, NULL);
        return;
    }
    slabs_close(handle->aside, &handle->card.gpu);
    if (gpu_enter(&handle->card.gpu, &former) == STATUS_OK) {
        copy_close(&handle->copies);
        gpu_leave(&handle->card.gpu, former);
    }
    card_close(&handle->card);
}

void card_give_up(struct cistern *handle)
{
    if (!card_is_open(&handle->card)) {
        return;
    }
    (void)pthread_mutex_lock(&handle->lock);
    shared32_store_relaxed(&handle->card_lost, 1);
    handle->card_status = STATUS_DEVICE_LOST;
    (void)snprintf(handle->card_why, sizeof handle->card_why,
        "%s failed, or refuses this process: host memory serves on; remedy: a new process",
        handle->card.gpu.name);
    (void)pthread_mutex_unlock(&handle->lock);
    reattach_leave(handle);
}

void card_sweep(struct cistern *handle)
{
    if (!card_is_open(&handle->card) || thread_is_drivers) {
        return;
    }
    (void)pthread_mutex_lock(&handle->lock);
    struct slabs *aside = handle->aside;
    handle->aside = NULL;
    (void)pthread_mutex_unlock(&handle->lock);
    slabs_close(aside, &handle->card.gpu);
}

int card_copy_out(struct cistern *handle, const void *from, void *out_data, uint64_t bytes)
{
    struct driver_context *former;
    struct copy copy = {
        .to = (uint64_t)(uintptr_t)out_data, .from = (uint64_t)(uintptr_t)from, .bytes = bytes};
    int status = gpu_enter(&handle->card.gpu, &former);
    if (status == STATUS_OK) {
        status = copy_start(&handle->card.gpu, handle->copies.stream, &copy, 1);
        /* Also of a copy that was refused: none writes the caller's memory behind this call. */
        int end = driver_status(handle->card.driver.cuStreamSynchronize(handle->copies.stream));
        status = status == STATUS_OK ? end : status;
        gpu_leave(&handle->card.gpu, former);
    }
    if (status == STATUS_DEVICE_LOST) {
        card_give_up(handle);
    }
    return status;
}

int cistern_device_ready(cistern_t *handle)
{
    if (handle == NULL) {
        return why_failed(STATUS_INVALID, "cistern_device_ready: the handle is NULL");
    }
    if (core_is_forked(handle)) {
        return why_failed(STATUS_FORKED, "the handle was opened by the parent process");
    }
    (void)pthread_mutex_lock(&handle->lock);
    const struct attach *attach = handle->current;
    int status = handle->card_status;
    if (status != STATUS_OK) {
        (void)why_failed(status, "%s", handle->card_why);
    } else if (attach == NULL) {
        status = why_failed(STATUS_NO_SERVER, "%s: the sidecar is gone", handle->path);
    } else if (attach->slabs == NULL) {
        status = why_failed(attach->device_status, "%s", attach->device_why);
    }
    (void)pthread_mutex_unlock(&handle->lock);
    return status;
}
