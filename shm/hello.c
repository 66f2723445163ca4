/* hello: one message and its descriptors over the socket, for both sides. */
#include "shm/hello.h"

#include "shm/status.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for a few descriptors more than are ever sent, so that surplus ones are seen and closed. */
#define FD_ROOM (HELLO_FDS + 2)

union control {
    char bytes[CMSG_SPACE(FD_ROOM * sizeof(int))];
    struct cmsghdr align;
};

static int status_of_errno(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? STATUS_BUSY
                                                                     : STATUS_NO_SERVER;
}

int hello_send(int socket, const void *message, size_t bytes, const int *fds, uint32_t fd_count)
{
    assert(fd_count <= FD_ROOM);
    union control control;
    memset(&control, 0, sizeof control);
    struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = bytes};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    ssize_t sent = sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        return status_of_errno();
    }
    return (size_t)sent == bytes ? STATUS_OK : STATUS_NO_SERVER;
}

/* Move the received descriptors out, as far as there is room, and close the others. */
static uint32_t take_fds(struct msghdr *header, int *out_fds, uint32_t fd_room)
{
    uint32_t count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL;
         part = CMSG_NXTHDR(header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t number = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < number; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            if (count < fd_room) {
                out_fds[count++] = fd;
            } else {
                (void)close(fd);
            }
        }
    }
    return count;
}

int hello_receive(int socket, void *out_message, size_t bytes, int *out_fds, uint32_t fd_room,
    uint32_t *out_count)
{
    union control control;
    struct iovec part = {.iov_base = out_message, .iov_len = bytes};
    struct msghdr header = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == ECONNRESET) {
        /* The peer hung up before it read all that we sent: that is told once, and what the peer
         * said before, a refusal or a goodbye, waits behind it. */
        got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    }
    if (got < 0) {
        return status_of_errno();
    }
    uint32_t count = take_fds(&header, out_fds, fd_room);
    bool cut = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    if (got == 0 || (size_t)got != bytes || cut) {
        for (uint32_t i = 0; i < count; i++) {
            (void)close(out_fds[i]);
        }
        return got == 0 ? STATUS_NO_SERVER : STATUS_MALFORMED;
    }
    *out_count = count;
    return STATUS_OK;
}
