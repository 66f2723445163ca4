/* roster: see roster.h.
 *
 * It also sees to fork(): its lock is free in the child, and the seats are zero there even where
 * the kernel would not zero them (decision 2). */
#include "libclient/roster.h"

#include "libclient/why.h"
#include "shm/status.h"

#include <assert.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cistern *handles;
static uint64_t handles_made;

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static bool fork_handled;

static void after_fork_in_child(void)
{
    for (struct cistern *handle = handles; handle != NULL; handle = handle->next) {
        memset((void *)handle->arena, 0, sizeof *handle->arena);
    }
    roster_let_go();
}

static void handle_fork(void)
{
    fork_handled = pthread_atfork(roster_hold, roster_let_go, after_fork_in_child) == 0;
}

void roster_hold(void)
{
    (void)pthread_mutex_lock(&lock);
}

void roster_let_go(void)
{
    (void)pthread_mutex_unlock(&lock);
}

int roster_add(struct cistern *handle)
{
    (void)pthread_once(&fork_once, handle_fork);
    if (!fork_handled) {
        return why_failed(STATUS_NO_MEMORY, "pthread_atfork() failed");
    }
    roster_hold();
    handle->id = ++handles_made;
    handle->next = handles;
    handles = handle;
    roster_let_go();
    return STATUS_OK;
}

void roster_remove(struct cistern *handle)
{
    roster_hold();
    struct cistern **link = &handles;
    while (*link != handle) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = handle->next;
    roster_let_go();
}

struct cistern *roster_find(uint64_t id)
{
    struct cistern *handle = handles;
    while (handle != NULL && handle->id != id) {
        handle = handle->next;
    }
    return handle;
}
