/* transfer_open: a device of this process, and the pools that it page-locks. See transfer.h. */
#include "libclient/thread.h"
#include "libclient/transfer.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Under `opening`. Let pools go that nobody but us has mapped, unless `all`: then every one. */
static void drop_locks(struct cistern_device *device, bool all)
{
    struct transfer_lock **link = &device->locks;
    while (*link != NULL) {
        struct transfer_lock *lock = *link;
        (void)pthread_mutex_lock(&device->handle->lock);
        bool only_ours = lock->mapping->users == 1;
        (void)pthread_mutex_unlock(&device->handle->lock);
        if (!all && !only_ours) {
            link = &lock->next;
            continue;
        }
        *link = lock->next;
        pagelock_close(&lock->pages);
        (void)pthread_mutex_lock(&device->handle->lock);
        mapping_drop(&lock->mapping);
        (void)pthread_mutex_unlock(&device->handle->lock);
        free(lock);
    }
}

static bool is_locked(const struct cistern_device *device, const struct mapping *mapping)
{
    const struct transfer_lock *lock = device->locks;
    while (lock != NULL && lock->mapping != mapping) {
        lock = lock->next;
    }
    return lock != NULL;
}

/* Under `opening`. */
static void add_lock(struct cistern_device *device, struct mapping *mapping)
{
    struct transfer_lock *lock = calloc(1, sizeof *lock);
    if (lock == NULL) {
        return;
    }
    if (pagelock_open(&device->card->gpu, mapping->segment.base, mapping->segment.bytes,
            &lock->pages, lock->why, sizeof lock->why) != STATUS_OK) {
        free(lock);
        return;
    }
    (void)pthread_mutex_lock(&device->handle->lock);
    mapping->users++;
    (void)pthread_mutex_unlock(&device->handle->lock);
    lock->mapping = mapping;
    lock->next = device->locks;
    device->locks = lock;
}

void transfer_lock_pool(struct cistern_device *device, struct attach *attach)
{
    if (shared32_load_acquire(&device->locked) == attach->id) {
        return;
    }
    (void)pthread_mutex_lock(&device->opening);
    if (!is_locked(device, attach->mapping)) {
        drop_locks(device, false);
        add_lock(device, attach->mapping);
    }
    shared32_store_release(&device->locked, attach->id);
    (void)pthread_mutex_unlock(&device->opening);
}

/* The handle's card, if `which` names it. Returns false if not, or if there is none. */
static bool share_card(struct cistern_device *device, const char *which)
{
    const struct card *card = &device->handle->card;
    char why[CARD_WHY];
    struct gpu named;
    if (!card_is_open(card)) {
        return false;
    }
    if (which != NULL && (gpu_choose(&card->driver, which, &named, why, sizeof why) != STATUS_OK ||
                             memcmp(&named.uuid, &card->gpu.uuid, sizeof named.uuid) != 0)) {
        return false;
    }
    device->card = card;
    (void)snprintf(device->about, sizeof device->about, "%.100s, the handle's own", card->gpu.name);
    return true;
}

/* Returns 0 or a status, having said why. */
static int open_card(struct cistern_device *device, const char *which)
{
    char why[CARD_WHY];
    if (share_card(device, which)) {
        return STATUS_OK;
    }
    device->card = &device->own;
    int status = card_open(&device->own, which == NULL ? "auto" : which, why, sizeof why);
    if (status != STATUS_OK) {
        return why_failed(status, "%s", why);
    }
    (void)snprintf(device->about, sizeof device->about, "%.200s", why);
    return STATUS_OK;
}

int cistern_device_open(cistern_t *handle, const char *which, cistern_device_t **out_device)
{
    if (handle == NULL || out_device == NULL) {
        return why_failed(STATUS_INVALID, "cistern_device_open: an argument is NULL");
    }
    if (core_is_forked(handle)) {
        return why_failed(STATUS_FORKED, "the handle belongs to the parent process");
    }
    struct cistern_device *device = calloc(1, sizeof *device);
    if (device == NULL) {
        return why_failed(STATUS_NO_MEMORY, "no memory for a device");
    }
    device->handle = handle;
    (void)pthread_mutex_init(&device->opening, NULL);
    (void)pthread_mutex_init(&device->lock, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&device->settled, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    struct core_seat *seat;
    struct driver_context *former;
    int status = open_card(device, which);
    if (status == STATUS_OK && thread_enter(handle, &seat) == STATUS_OK &&
        gpu_enter(&device->card->gpu, &former) == STATUS_OK) {
        transfer_lock_pool(device, seat->attach);
        gpu_leave(&device->card->gpu, former);
        size_t used = strlen(device->about);
        (void)snprintf(device->about + used, sizeof device->about - used, "; %s",
            device->locks == NULL ? "no memory to page-lock the pool" : device->locks->why);
    }
    if (status != STATUS_OK) {
        cistern_device_close(&device);
        return status;
    }
    *out_device = device;
    return STATUS_OK;
}

const char *cistern_device_about(const cistern_device_t *device)
{
    return device == NULL ? "" : device->about;
}

static void free_jobs(struct transfer_job *job)
{
    while (job != NULL) {
        struct transfer_job *next = job->next;
        free(job);
        job = next;
    }
}

/* In a forked child: the driver does not survive, and what was under way is the parent's. */
static void free_copy(struct cistern_device *device)
{
    struct transfer_lock *lock = device->locks;
    while (lock != NULL) {
        struct transfer_lock *next = lock->next;
        mapping_drop(&lock->mapping); /* no other thread is here to be locked out */
        free(lock);
        lock = next;
    }
    free_jobs(device->pending);
    free_jobs(device->late);
    free(device);
}

void cistern_device_close(cistern_device_t **device_pointer)
{
    if (device_pointer == NULL || *device_pointer == NULL) {
        return;
    }
    struct cistern_device *device = *device_pointer;
    *device_pointer = NULL;
    if (core_is_forked(device->handle)) {
        free_copy(device);
        return;
    }
    transfer_end(device);
    struct driver_context *former = NULL;
    bool entered =
        card_is_open(device->card) && gpu_enter(&device->card->gpu, &former) == STATUS_OK;
    (void)pthread_mutex_lock(&device->opening);
    drop_locks(device, true);
    (void)pthread_mutex_unlock(&device->opening);
    if (entered) {
        gpu_leave(&device->card->gpu, former);
    }
    card_close(&device->own);
    (void)pthread_cond_destroy(&device->settled);
    (void)pthread_mutex_destroy(&device->lock);
    (void)pthread_mutex_destroy(&device->opening);
    free(device);
}
