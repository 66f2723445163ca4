/* open: the life of a handle: cistern_open() builds it in order, cistern_close() undoes it in
 * reverse. */
#include "libclient/core.h"
#include "libclient/cpu.h"
#include "libclient/moment.h"
#include "libclient/reattach.h"
#include "libclient/roster.h"
#include "libclient/settings.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static_assert(sizeof(struct cistern_key) == 32, "part of the ABI");
static_assert(sizeof(struct cistern_namespace) == 128, "part of the ABI; grows only at the end");
static_assert(sizeof(struct cistern_options) == 56, "part of the ABI; grows only at the end");
static_assert(sizeof(struct cistern_view) == 40, "part of the ABI");
static_assert(sizeof(struct cistern_slot) == 40, "part of the ABI");
static_assert(sizeof(struct cistern_match) == 16, "part of the ABI; grows only at the end");
static_assert(sizeof(struct cistern_event) == 16, "part of the ABI");
static_assert(sizeof(struct cistern_stats) == 96, "part of the ABI; grows only at the end");

static int open_arena(struct cistern *handle)
{
    size_t bytes = sizeof *handle->arena;
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return why_failed(STATUS_NO_MEMORY, "mmap: %s", strerror(errno));
    }
    /* Where the kernel refuses, libclient/roster zeroes it after fork(); only a raw clone()
     * would be missed there. */
    (void)madvise(base, bytes, MADV_WIPEONFORK);
    handle->arena = base;
    shared32_store_relaxed(&handle->arena->alive, 1);
    return STATUS_OK;
}

static int open_epoll(struct cistern *handle)
{
    struct epoll_event event = {.events = EPOLLIN};
    handle->epoll = epoll_create1(EPOLL_CLOEXEC);
    handle->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (handle->epoll < 0 || handle->nudge < 0 ||
        epoll_ctl(handle->epoll, EPOLL_CTL_ADD, handle->nudge, &event) != 0) {
        return why_failed(STATUS_IO, "epoll or eventfd: %s", strerror(errno));
    }
    return STATUS_OK;
}

/* Give back what a handle holds, whole or half built; it is not in the roster any more. */
static void discard(struct cistern *handle, bool forked)
{
    reattach_close(handle, forked);
    card_end(handle, forked);
    if (handle->nudge >= 0) {
        (void)close(handle->nudge);
    }
    if (handle->epoll >= 0) {
        (void)close(handle->epoll);
    }
    if (handle->arena != NULL) {
        (void)munmap(handle->arena, sizeof *handle->arena);
    }
    if (!forked) {
        /* In a child another thread of the parent may have held them for ever. */
        (void)pthread_mutex_destroy(&handle->lock);
        (void)pthread_mutex_destroy(&handle->trying);
    }
    free(handle->waits);
    free(handle);
}

static struct cistern *make(void)
{
    struct cistern *handle = aligned_alloc(_Alignof(struct cistern), sizeof *handle);
    if (handle == NULL) {
        return NULL;
    }
    memset((void *)handle, 0, sizeof *handle);
    handle->greet = GREET_NONE;
    handle->epoll = -1;
    handle->nudge = -1;
    (void)pthread_mutex_init(&handle->lock, NULL);
    (void)pthread_mutex_init(&handle->trying, NULL);
    return handle;
}

int cistern_open(const struct cistern_options *options, cistern_t **out_handle)
{
    if (options == NULL || out_handle == NULL) {
        return why_failed(STATUS_INVALID, "cistern_open: an argument is NULL");
    }
    struct cistern *handle = make();
    if (handle == NULL) {
        return why_failed(STATUS_NO_MEMORY, "no memory for a handle");
    }
    int status = settings_read(options, handle);
    if (status == STATUS_OK) {
        status = open_arena(handle);
    }
    if (status == STATUS_OK) {
        status = open_epoll(handle);
    }
    if (status == STATUS_OK) {
        status = card_choose(handle, settings_device(options));
    }
    if (status == STATUS_OK) {
        handle->spin_ns = cpu_spin_ns();
        status = reattach_first(handle, moment_after_ns(settings_timeout_ns(options)));
    }
    if (status == STATUS_OK) {
        status = roster_add(handle);
    }
    if (status != STATUS_OK) {
        discard(handle, false);
        return status;
    }
    *out_handle = handle;
    return STATUS_OK;
}

void cistern_close(cistern_t **handle_pointer)
{
    if (handle_pointer == NULL || *handle_pointer == NULL) {
        return;
    }
    struct cistern *handle = *handle_pointer;
    *handle_pointer = NULL;
    roster_remove(handle);
    discard(handle, core_is_forked(handle));
}
