/* transfer: what a stream does with views and slots, and what follows. See transfer.h. */
#include "libclient/transfer.h"

#include "libclient/moment.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_NS (10 * MOMENT_MS) /* between two looks, while a call waits */
#define END_NS INT64_C(1000000000) /* for a sidecar that is behind, when the device is closed */

/* Returns false if it has to be tried again: no seat for this thread, or the sidecar is behind. */
static bool settle_job(struct transfer_job *job)
{
    struct cistern *handle = job->device->handle;
    if (job->views != NULL) {
        (void)cistern_release(handle, job->views, job->count);
        return true;
    }
    for (; job->at < job->count; job->at++) {
        const struct cistern_key *parent = job->at > 0       ? &job->keys[job->at - 1]
                                           : job->has_parent ? &job->parent
                                                             : NULL;
        int status = cistern_commit(
            handle, &job->slots[job->at], &job->keys[job->at], parent, job->bytes[job->at]);
        if (status == STATUS_BUSY || status == STATUS_THREADS) {
            return false;
        }
    }
    return true;
}

/* Under the device's lock. */
static void unlink_job(struct transfer_job *job)
{
    struct cistern_device *device = job->device;
    if (job->before != NULL) {
        job->before->next = job->next;
    } else {
        device->pending = job->next;
    }
    if (job->next != NULL) {
        job->next->before = job->before;
    }
}

static void link_job(struct transfer_job *job)
{
    struct cistern_device *device = job->device;
    (void)pthread_mutex_lock(&device->lock);
    job->before = NULL;
    job->next = device->pending;
    if (job->next != NULL) {
        job->next->before = job;
    }
    device->pending = job;
    (void)pthread_mutex_unlock(&device->lock);
}

/* The stream got there. */
static void passed(struct transfer_job *job)
{
    struct cistern_device *device = job->device;
    (void)pthread_mutex_lock(&device->lock);
    unlink_job(job);
    if (settle_job(job)) {
        free(job);
    } else {
        job->next = device->late;
        device->late = job;
    }
    if (thread_is_drivers) {
        /* It may not be heard of again, and would keep the memory of a sidecar that is gone. */
        thread_leave(device->handle);
    }
    (void)pthread_cond_broadcast(&device->settled);
    (void)pthread_mutex_unlock(&device->lock);
}

/* On a thread of the driver, which may not call it. */
static void called(void *context)
{
    thread_is_drivers = true;
    passed(context);
    thread_is_drivers = false;
}

bool transfer_settle(struct cistern_device *device)
{
    (void)pthread_mutex_lock(&device->lock);
    struct transfer_job *job = device->late;
    device->late = NULL;
    while (job != NULL) {
        struct transfer_job *next = job->next;
        if (settle_job(job)) {
            free(job);
        } else {
            job->next = device->late;
            device->late = job;
        }
        job = next;
    }
    bool none = device->pending == NULL && device->late == NULL;
    (void)pthread_mutex_unlock(&device->lock);
    return none;
}

/* If it is the handle's, its memory goes with it. */
static void give_up(struct cistern_device *device)
{
    if (transfer_in_place(device)) {
        card_give_up(device->handle);
    }
}

void transfer_look(struct cistern_device *device)
{
    struct driver_context *former;
    size_t free_bytes;
    size_t all_bytes;
    if (gpu_enter(&device->card->gpu, &former) == STATUS_OK) {
        int result = device->card->driver.cuMemGetInfo(&free_bytes, &all_bytes);
        gpu_leave(&device->card->gpu, former);
        if (driver_status(result) != STATUS_DEVICE_LOST) {
            return;
        }
    }
    (void)pthread_mutex_lock(&device->lock);
    shared32_store_relaxed(&device->lost, 1);
    while (device->pending != NULL) {
        struct transfer_job *job = device->pending;
        unlink_job(job);
        job->gone = true;
        if (job->views != NULL) {
            (void)settle_job(job);
        }
        /* Not freed: who knows whether the driver still has it. */
    }
    (void)pthread_mutex_unlock(&device->lock);
    give_up(device);
}

/* Room for a job and its arrays; the views and slots stay the caller's until it is under way. */
static struct transfer_job *make_job(struct cistern_device *device, size_t count, bool write)
{
    size_t each = write
                      ? sizeof(struct cistern_slot) + sizeof(struct cistern_key) + sizeof(uint64_t)
                      : sizeof(struct cistern_view);
    struct transfer_job *job =
        count > (SIZE_MAX - sizeof *job) / each ? NULL : calloc(1, sizeof *job + count * each);
    if (job == NULL) {
        return NULL;
    }
    job->device = device;
    job->count = count;
    if (write) {
        job->slots = (struct cistern_slot *)(job + 1);
        job->bytes = (uint64_t *)(job->slots + count);
        job->keys = (struct cistern_key *)(job->bytes + count);
    } else {
        job->views = (struct cistern_view *)(job + 1);
    }
    return job;
}

static bool is_lost(const struct cistern_device *device)
{
    return shared32_load_relaxed(&device->lost) != 0;
}

static int lost(struct cistern_device *device)
{
    give_up(device);
    return why_failed(STATUS_DEVICE_LOST,
        "the GPU failed, or refuses this process: its error is in the engine's own calls");
}

static int follow(struct cistern_device *device, struct transfer_job *job, void *stream, int status)
{
    const struct driver *driver = &device->card->driver;
    if (status == STATUS_OK) {
        link_job(job);
        if (driver->cuLaunchHostFunc(stream, called, job) == DRIVER_SUCCESS) {
            return STATUS_OK;
        }
        status = driver_status(driver->cuStreamSynchronize(stream));
        if (status == STATUS_OK) {
            passed(job);
            return STATUS_OK;
        }
        (void)pthread_mutex_lock(&device->lock);
        if (!job->gone) {
            unlink_job(job);
        }
        (void)pthread_mutex_unlock(&device->lock);
    } else {
        (void)driver->cuStreamSynchronize(stream); /* some of the copies may be in it */
    }
    free(job);
    return why_failed(status, "the driver refuses: an address that is none of this device, or a "
                              "stream of another context?");
}

int transfer_begin(struct cistern_device *device, size_t count, bool write,
    struct transfer_job **out_job, struct driver_context **out_former)
{
    struct core_seat *seat;
    if (core_is_forked(device->handle)) {
        return why_failed(STATUS_FORKED, "the device belongs to the parent process");
    }
    (void)transfer_settle(device);
    if (is_lost(device)) {
        return lost(device);
    }
    struct transfer_job *job = make_job(device, count, write);
    if (job == NULL) {
        return why_failed(STATUS_NO_MEMORY, "no memory for a transfer of %zu blocks", count);
    }
    int entered = thread_enter(device->handle, &seat);
    int status = gpu_enter(&device->card->gpu, out_former);
    if (status != STATUS_OK) {
        free(job);
        return status == STATUS_DEVICE_LOST
                   ? lost(device)
                   : why_failed(STATUS_DEVICE_LOST, "the device's context cannot be entered");
    }
    if (entered == STATUS_OK) { /* else views of a sidecar that is gone are read as they are */
        transfer_lock_pool(device, seat->attach);
    }
    *out_job = job;
    return STATUS_OK;
}

int transfer_follow(struct cistern_device *device, struct transfer_job *job, void *stream,
    int status, struct driver_context *former)
{
    status = follow(device, job, stream, status);
    gpu_leave(&device->card->gpu, former);
    return status == STATUS_DEVICE_LOST ? lost(device) : status;
}

/* Returns false if nothing came until then, though something is under way. */
static bool wait_settled(struct cistern_device *device, uint64_t until_ns)
{
    struct timespec until = {
        .tv_sec = (time_t)(until_ns / 1000000000), .tv_nsec = (long)(until_ns % 1000000000)};
    int error = 0;
    (void)pthread_mutex_lock(&device->lock);
    if (device->pending != NULL) {
        error = pthread_cond_timedwait(&device->settled, &device->lock, &until);
    }
    (void)pthread_mutex_unlock(&device->lock);
    return error == 0;
}

int cistern_device_drain(cistern_device_t *device, int64_t timeout_ns)
{
    if (device == NULL || timeout_ns < 0) {
        return why_failed(
            STATUS_INVALID, "cistern_device_drain: device is NULL, or timeout_ns below 0");
    }
    if (core_is_forked(device->handle)) {
        return why_failed(STATUS_FORKED, "the device belongs to the parent process");
    }
    card_sweep(device->handle);
    uint64_t deadline_ns = moment_after_ns(timeout_ns);
    while (!transfer_settle(device)) {
        uint64_t now_ns = moment_now_ns();
        if (now_ns >= deadline_ns) {
            return why_failed(STATUS_BUSY, "streams have not got there yet");
        }
        if (!wait_settled(
                device, now_ns + LOOK_NS < deadline_ns ? now_ns + LOOK_NS : deadline_ns)) {
            transfer_look(device);
        }
    }
    return is_lost(device) ? lost(device) : STATUS_OK;
}

void transfer_end(struct cistern_device *device)
{
    bool under_way = true;
    while (under_way && cistern_device_drain(device, END_NS) == STATUS_BUSY) {
        (void)pthread_mutex_lock(&device->lock);
        under_way = device->pending != NULL;
        (void)pthread_mutex_unlock(&device->lock);
    }
    (void)pthread_mutex_lock(&device->lock);
    while (device->late != NULL) {
        struct transfer_job *job = device->late;
        device->late = job->next;
        free(job);
    }
    (void)pthread_mutex_unlock(&device->lock);
}
