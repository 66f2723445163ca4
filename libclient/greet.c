/* greet: see greet.h. The welcome is foreign: attach_open() checks its numbers. */
#include "libclient/greet.h"

#include "libclient/why.h"
#include "shm/layout.h"
#include "shm/status.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void greet_close(struct greet *greet)
{
    if (greet->socket >= 0) {
        (void)close(greet->socket);
    }
    greet->socket = -1;
}

void greet_refuse(struct greet_gift *gift)
{
    for (uint32_t i = 0; i < gift->fd_count; i++) {
        if (gift->fds[i] >= 0) {
            (void)close(gift->fds[i]);
        }
    }
    gift->fd_count = 0;
    if (gift->socket >= 0) {
        (void)close(gift->socket);
    }
    gift->socket = -1;
}

static int start(struct greet *greet, const char *path, const struct hello *hello)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (door < 0) {
        return why_failed(STATUS_IO, "socket: %s", strerror(errno));
    }
    int status = STATUS_OK;
    if (connect(door, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == EAGAIN) {
            status = STATUS_BUSY; /* its queue is full: it lives, and is only slow */
        } else if (errno == EACCES || errno == EPERM) {
            status = why_failed(STATUS_DENIED, "%s: %s", path, strerror(errno));
        } else {
            status = why_failed(STATUS_NO_SERVER, "%s: %s", path, strerror(errno));
        }
    } else {
        status = hello_send(door, hello, sizeof *hello, NULL, 0);
        /* Hung up already: its refusal may still be there to read. */
        status = status == STATUS_NO_SERVER ? STATUS_OK : status;
    }
    if (status != STATUS_OK) {
        (void)close(door);
        return status;
    }
    greet->socket = door;
    return STATUS_OK;
}

/* Is the status one that a server may refuse with? Anything else is not passed on to callers. */
static bool known_refusal(int status)
{
    return status < 0 && strcmp(status_name(status), "unknown status") != 0;
}

static int judge(struct greet_gift *gift)
{
    struct welcome *welcome = &gift->welcome;
    welcome->why[HELLO_WHY - 1] = '\0';
    if (welcome->magic != HELLO_MAGIC) {
        return why_failed(
            STATUS_MALFORMED, "the socket is not a sidecar's: its greeting is foreign");
    }
    if (welcome->status != STATUS_OK) {
        int status = known_refusal(welcome->status) ? welcome->status : STATUS_MALFORMED;
        return why_failed(
            status, "%s", welcome->why[0] != '\0' ? welcome->why : "the sidecar refused");
    }
    if (welcome->abi != LAYOUT_ABI) {
        return why_failed(STATUS_VERSION, "the library speaks layout %u, the sidecar layout %u",
            LAYOUT_ABI, welcome->abi);
    }
    return STATUS_OK;
}

int greet_step(struct greet *greet, const char *path, const struct hello *hello, uint64_t wait_ns,
    struct greet_gift *out_gift)
{
    if (greet->socket < 0) {
        int status = start(greet, path, hello);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct pollfd look = {.fd = greet->socket, .events = POLLIN};
    int ready = poll(&look, 1, (int)(wait_ns / 1000000u));
    if (ready == 0 || (ready < 0 && errno == EINTR)) {
        return STATUS_BUSY;
    }
    struct greet_gift gift = {.socket = -1};
    int status = hello_receive(
        greet->socket, &gift.welcome, sizeof gift.welcome, gift.fds, HELLO_FDS, &gift.fd_count);
    if (status == STATUS_BUSY) {
        return STATUS_BUSY;
    }
    if (status == STATUS_OK) {
        status = judge(&gift);
    } else {
        gift.fd_count = 0; /* hello_receive() closed them */
        (void)why_failed(status,
            status == STATUS_MALFORMED ? "%s: the sidecar's greeting has another size than ours"
                                       : "%s: the sidecar hung up during the greeting",
            path);
    }
    if (status != STATUS_OK) {
        greet_refuse(&gift);
        greet_close(greet);
        return status;
    }
    gift.socket = greet->socket;
    greet->socket = -1;
    *out_gift = gift;
    return STATUS_OK;
}
