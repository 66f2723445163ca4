/* thread: see thread.h.
 *
 * A thread remembers its seats in two places: the cache of the fast half, and a list that it
 * owns and that is walked when it exits. Both name a handle by its id, which is never used
 * again, so what they say of a closed handle does no harm. */
#include "libclient/thread.h"

#include "libclient/reattach.h"
#include "libclient/reserve.h"
#include "libclient/roster.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Thread_local struct thread_cached thread_cached[THREAD_CACHED];
_Thread_local bool thread_is_drivers;

/* A seat that a thread has, in its list. */
struct seat_held {
    struct seat_held *next;
    uint64_t id; /* of the handle */
    struct core_seat *seat;
    pid_t process;
};

static pthread_once_t list_once = PTHREAD_ONCE_INIT;
static pthread_key_t list_key;
static bool list_made;

/* The seat works on nothing. Under the handle's lock. */
static void unseat(struct core_seat *seat)
{
    if (seat->attach != NULL) {
        seat->attach->users--;
    }
    seat->attach = NULL;
    seat->lane = NULL;
    seat->era = 0;
}

/* The thread is over: what was lent to it goes home; its views stay pinned until they are
 * released. */
static void give_back(struct cistern *handle, struct core_seat *seat)
{
    if (seat->era != 0 && seat->era == shared32_load_relaxed(&handle->era)) {
        reserve_return(handle, seat);
    }
    (void)pthread_mutex_lock(&handle->lock);
    unseat(seat);
    handle->seat_taken[seat->index] = false;
    reattach_sweep(handle);
    (void)pthread_mutex_unlock(&handle->lock);
}

static void thread_exits(void *list)
{
    struct seat_held *held = list;
    while (held != NULL) {
        struct seat_held *next = held->next;
        /* In a child the seats are the parent's business. */
        if (held->process == getpid()) {
            roster_hold();
            struct cistern *handle = roster_find(held->id);
            if (handle != NULL) {
                give_back(handle, held->seat);
            }
            roster_let_go();
        }
        free(held);
        held = next;
    }
    memset(thread_cached, 0, sizeof thread_cached);
}

static void make_list_key(void)
{
    list_made = pthread_key_create(&list_key, thread_exits) == 0;
}

/* Drop what a list says of handles that are closed, so that it stays as short as handles are
 * few. */
static struct seat_held *prune(struct seat_held *list)
{
    struct seat_held **link = &list;
    roster_hold();
    while (*link != NULL) {
        struct seat_held *held = *link;
        if (roster_find(held->id) == NULL) {
            *link = held->next;
            free(held);
        } else {
            link = &held->next;
        }
    }
    roster_let_go();
    return list;
}

/* The lowest free seat, or NULL. */
static struct core_seat *claim_seat(struct cistern *handle)
{
    struct core_seat *seat = NULL;
    (void)pthread_mutex_lock(&handle->lock);
    for (uint32_t i = 0; seat == NULL && i < handle->hello.seats; i++) {
        if (!handle->seat_taken[i]) {
            handle->seat_taken[i] = true;
            seat = &handle->arena->seats[i];
            seat->index = i;
        }
    }
    (void)pthread_mutex_unlock(&handle->lock);
    return seat;
}

/* A free seat of the handle becomes this thread's. */
static int take_seat(struct cistern *handle, struct core_seat **out_seat)
{
    struct seat_held *list = prune(pthread_getspecific(list_key));
    (void)pthread_setspecific(list_key, list); /* no longer than before: cannot fail */
    struct seat_held *held = malloc(sizeof *held);
    if (held == NULL || pthread_setspecific(list_key, held) != 0) {
        free(held);
        return why_failed(STATUS_NO_MEMORY, "no memory for a thread's seat");
    }
    struct core_seat *seat = claim_seat(handle);
    if (seat == NULL) {
        (void)pthread_setspecific(list_key, list);
        free(held);
        return why_failed(
            STATUS_THREADS, "all %u thread seats of the handle are in use", handle->hello.seats);
    }
    *held = (struct seat_held){.next = list, .id = handle->id, .seat = seat, .process = getpid()};
    *out_seat = seat;
    return STATUS_OK;
}

static int find_seat(struct cistern *handle, struct core_seat **out_seat)
{
    (void)pthread_once(&list_once, make_list_key);
    if (!list_made) {
        return why_failed(STATUS_NO_MEMORY, "pthread_key_create() failed");
    }
    struct seat_held *held = pthread_getspecific(list_key);
    while (held != NULL && held->id != handle->id) {
        held = held->next;
    }
    if (held == NULL) {
        return take_seat(handle, out_seat);
    }
    *out_seat = held->seat;
    return STATUS_OK;
}

void thread_leave(struct cistern *handle)
{
    struct seat_held *list = pthread_getspecific(list_key);
    struct seat_held **link = &list;
    while (*link != NULL && (*link)->id != handle->id) {
        link = &(*link)->next;
    }
    struct seat_held *held = *link;
    if (held == NULL) {
        return; /* there was no seat for it */
    }
    *link = held->next;
    (void)pthread_setspecific(list_key, list); /* there was a value: cannot fail */
    thread_cached[handle->id & (THREAD_CACHED - 1)] = (struct thread_cached){.id = 0};
    (void)pthread_mutex_lock(&handle->lock);
    unseat(held->seat);
    handle->seat_taken[held->seat->index] = false;
    reattach_sweep(handle);
    (void)pthread_mutex_unlock(&handle->lock);
    free(held);
}

/* The sidecar of the seat's attachment is gone: let go of it, so that the hello to the next one can
 * give it up already. */
static void leave(struct cistern *handle, struct core_seat *seat)
{
    if (seat->attach != NULL) {
        (void)pthread_mutex_lock(&handle->lock);
        unseat(seat);
        reattach_sweep(handle);
        (void)pthread_mutex_unlock(&handle->lock);
        card_sweep(handle);
    }
}

/* Move a seat to the attachment of now. Returns 0, STATUS_NO_SERVER, STATUS_THREADS. */
static int move(struct cistern *handle, struct core_seat *seat)
{
    int status = STATUS_OK;
    (void)pthread_mutex_lock(&handle->lock);
    struct attach *attach = handle->current;
    unseat(seat);
    if (attach == NULL) {
        status = why_failed(STATUS_NO_SERVER, "%s: the sidecar is gone", handle->path);
    } else if (seat->index >= attach->shape.seats) {
        status = why_failed(
            STATUS_THREADS, "the sidecar serves %u threads of a handle", attach->shape.seats);
    } else {
        attach->users++;
        seat->attach = attach;
        seat->lane = &attach->lanes[seat->index];
        seat->era = shared32_load_relaxed(&handle->era);
        _Atomic uint32_t *used = &attach->client->seats_used;
        if (seat->index >= shared32_load_relaxed(used)) {
            /* Before the seat's first pin and its fence, as the high-water mark is. */
            shared32_store_release(used, seat->index + 1);
        }
    }
    reattach_sweep(handle);
    (void)pthread_mutex_unlock(&handle->lock);
    card_sweep(handle);
    return status;
}

int thread_enter_slow(struct cistern *handle, struct core_seat **out_seat)
{
    if (core_is_forked(handle)) {
        return why_failed(STATUS_FORKED, "the handle was opened by the parent process");
    }
    struct core_seat *seat = NULL;
    int status = find_seat(handle, &seat);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t era = shared32_load_relaxed(&handle->era);
    if (seat->era != era && (era & 1) == 0) {
        leave(handle, seat);
        status = thread_is_drivers
                     ? why_failed(STATUS_NO_SERVER, "%s: the sidecar is gone", handle->path)
                     : reattach_try(handle);
    }
    if (status == STATUS_OK && seat->era != era) {
        status = move(handle, seat);
    }
    if (status != STATUS_OK) {
        return status;
    }
    thread_cached[handle->id & (THREAD_CACHED - 1)] =
        (struct thread_cached){.id = handle->id, .seat = seat};
    *out_seat = seat;
    return STATUS_OK;
}
