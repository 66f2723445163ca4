/* slabs: see slabs.h. */
#include "libclient/slabs.h"

#include "shm/status.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(SLAB_MOST == HELLO_SLABS, "a welcome brings every slab of a pool");
static_assert(sizeof(struct driver_ipc_handle) == HELLO_IPC, "and its cuIpc handle");

bool slabs_is(const struct slabs *known, const struct welcome *welcome)
{
    return known != NULL && known->number == welcome->device_pool &&
           known->bytes == welcome->device_bytes &&
           known->pool.slab_bytes == welcome->device_slab_bytes &&
           (known->base != NULL) == (welcome->device_kind == HELLO_SLABS_FD);
}

/* What slab_import() reads. */
static void describe(const struct welcome *welcome, const int *fds, struct slab_pool *out_shared)
{
    *out_shared = (struct slab_pool){
        .kind = welcome->device_kind == HELLO_SLABS_FD ? SLAB_VMM : SLAB_LEGACY,
        .count = welcome->device_slabs,
        .slab_bytes = welcome->device_slab_bytes,
    };
    for (uint32_t i = 0; i < welcome->device_slabs; i++) {
        if (out_shared->kind == SLAB_VMM) {
            out_shared->slab[i].fd = fds[i];
        } else {
            memcpy(out_shared->slab[i].ipc.byte, welcome->device_ipc[i], HELLO_IPC);
        }
    }
}

int slabs_open(const struct gpu *gpu, const struct welcome *welcome, const int *fds, bool writable,
    struct slabs **out_slabs, char *why, size_t why_bytes)
{
    struct driver_context *former;
    struct slab_pool shared;
    struct slabs *slabs = calloc(1, sizeof *slabs);
    if (slabs == NULL) {
        (void)snprintf(why, why_bytes, "no memory for the slabs of a device");
        return STATUS_NO_MEMORY;
    }
    describe(welcome, fds, &shared);
    int status = gpu_enter(gpu, &former);
    if (status == STATUS_OK) {
        status = slab_import(gpu, &shared, writable, &slabs->pool, why, why_bytes);
        gpu_leave(gpu, former);
    } else {
        (void)snprintf(why, why_bytes, "the context of %s cannot be entered", gpu->name);
    }
    if (status != STATUS_OK) {
        free(slabs);
        return status;
    }
    slabs->base = (const char *)(uintptr_t)slabs->pool.base;
    slabs->bytes = welcome->device_bytes;
    slabs->shift = (uint32_t)__builtin_ctzll(welcome->device_slab_bytes);
    slabs->number = welcome->device_pool;
    slabs->users = 1;
    *out_slabs = slabs;
    return STATUS_OK;
}

void slabs_drop(struct slabs **slabs_pointer, struct slabs **aside)
{
    struct slabs *slabs = *slabs_pointer;
    if (slabs == NULL) {
        return;
    }
    *slabs_pointer = NULL;
    assert(slabs->users > 0);
    if (--slabs->users == 0) {
        slabs->next = *aside;
        *aside = slabs;
    }
}

void slabs_close(struct slabs *aside, const struct gpu *gpu)
{
    struct driver_context *former;
    /* Of a device that failed nothing can be given back; it goes with the process. */
    bool entered = aside != NULL && gpu != NULL && gpu_enter(gpu, &former) == STATUS_OK;
    while (aside != NULL) {
        struct slabs *next = aside->next;
        if (entered) {
            slab_close(&aside->pool);
        }
        free(aside);
        aside = next;
    }
    if (entered) {
        gpu_leave(gpu, former);
    }
}
