/* keep: see keep.h. */
#include "sidecar/keep.h"

#include "shm/hello.h"
#include "shm/status.h"

#include <assert.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define SEND_MS 1000 /* the keeper does nothing else than read; so long it is never away */

/* The socket holds a hundred messages; only when they are all unread there is something to wait
 * for. */
static int say(
    struct keep *keep, const struct keep_message *message, const int *fds, uint32_t count)
{
    int status = hello_send(keep->socket, message, sizeof *message, fds, count);
    if (status == STATUS_BUSY) {
        struct pollfd room = {.fd = keep->socket, .events = POLLOUT};
        (void)poll(&room, 1, SEND_MS);
        status = hello_send(keep->socket, message, sizeof *message, fds, count);
    }
    return status;
}

int keep_hold(struct keep *keep, enum keep_kind kind, uint32_t id, const void *blob, uint32_t bytes,
    const int *fds, uint32_t fd_count)
{
    assert(bytes <= KEEP_TABLE_BYTES && fd_count <= KEEP_TABLE_FDS);
    if (keep == NULL) {
        return STATUS_OK;
    }
    struct keep_message message = {
        .magic = KEEP_MAGIC, .verb = KEEP_HOLD, .kind = (uint32_t)kind, .id = id, .bytes = bytes};
    if (bytes > 0) {
        memcpy(message.blob, blob, bytes);
    }
    return say(keep, &message, fds, fd_count);
}

void keep_drop(struct keep *keep, enum keep_kind kind, uint32_t id)
{
    if (keep != NULL) {
        struct keep_message message = {
            .magic = KEEP_MAGIC, .verb = KEEP_DROP, .kind = (uint32_t)kind, .id = id};
        (void)say(keep, &message, NULL, 0);
    }
}

int keep_ready(struct keep *keep)
{
    struct keep_message message = {.magic = KEEP_MAGIC, .verb = KEEP_READY};
    return keep == NULL ? STATUS_OK : say(keep, &message, NULL, 0);
}

void keep_close(struct keep *keep)
{
    if (keep == NULL) {
        return;
    }
    keep_table_close(&keep->held);
    if (keep->socket >= 0) {
        (void)close(keep->socket);
        keep->socket = -1;
    }
}
