/* peer_process: see peer_process.h. */
#include "sidecar/session/peer_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define OPTION_PEERPIDFD 77 /* SO_PEERPIDFD, younger than Debian 12's headers */
#define START_FIELD 22 /* of /proc/PID/stat; the second ends with the last ')' */

uint64_t peer_process_start(const char *stat)
{
    const char *at = strrchr(stat, ')');
    for (int field = 2; at != NULL && field < START_FIELD; field++) {
        at = strchr(at + 1, ' ');
    }
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

static uint64_t start_of(int32_t pid)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t bytes = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (bytes <= 0) {
        return 0;
    }
    text[bytes] = '\0';
    return peer_process_start(text);
}

/* Is the other end of the socket still held by somebody? */
static int is_connected(int socket)
{
    struct pollfd look = {.fd = socket, .events = POLLRDHUP};
    return poll(&look, 1, 0) == 0;
}

int peer_process_open(int socket, int32_t pid)
{
    int pidfd = -1;
    socklen_t bytes = sizeof pidfd;
    if (getsockopt(socket, SOL_SOCKET, OPTION_PEERPIDFD, &pidfd, &bytes) == 0) {
        return pidfd;
    }
    if (pid <= 0) {
        errno = ESRCH; /* a process of a pid namespace that we do not see */
        return -1;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK); /* a second */
    uint64_t now_ticks = (uint64_t)now.tv_sec * ticks + (uint64_t)now.tv_nsec * ticks / 1000000000u;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        return -1;
    }
    uint64_t start = start_of(pid);
    if (start == 0 || start > now_ticks + 1 || !is_connected(socket)) {
        (void)close(pidfd);
        errno = ESRCH;
        return -1;
    }
    return pidfd;
}
