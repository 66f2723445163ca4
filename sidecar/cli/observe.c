/* observe: the door, from a tool's side. */
#include "sidecar/cli/observe.h"

#include "shm/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int knock(const char *path, char *why, size_t why_bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 2};
    if (strlen(path) >= sizeof address.sun_path) {
        (void)snprintf(why, why_bytes, "the path of the socket is too long: %s", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(sock, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)snprintf(why, why_bytes,
            "no sidecar answers on %s: %s; start cisternd, or name its socket with --socket", path,
            strerror(errno));
        if (sock >= 0) {
            (void)close(sock);
        }
        return -1;
    }
    return sock;
}

/* The sidecar's word is checked as a client's is: a tool is often newer or older than it. */
static int take(struct observe *observe, int sock, char *why, size_t why_bytes)
{
    struct hello hello = {.magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .kind = HELLO_OBSERVE};
    struct welcome *welcome = &observe->welcome;
    int fds[HELLO_FD_MAX];
    uint32_t count = 0;
    /* A sidecar that refuses at once hangs up before it reads our hello; what it said is there. */
    (void)hello_send(sock, &hello, sizeof hello, NULL, 0);
    int status = hello_receive(sock, welcome, sizeof *welcome, fds, HELLO_FD_MAX, &count);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "the sidecar did not answer: %s", status_meaning(status));
        return status;
    }
    welcome->why[HELLO_WHY - 1] = '\0';
    welcome->info[HELLO_INFO - 1] = '\0';
    for (uint32_t i = 1; i < count; i++) {
        (void)close(fds[i]);
    }
    if (welcome->magic != HELLO_MAGIC || welcome->status != STATUS_OK || count == 0) {
        (void)snprintf(why, why_bytes, "the sidecar refused: %s", welcome->why);
        if (count > 0) {
            (void)close(fds[0]);
        }
        return welcome->status != STATUS_OK ? welcome->status : STATUS_MALFORMED;
    }
    status = segment_map(fds[0], welcome->index_bytes, false, &observe->segment);
    if (status == STATUS_OK) {
        status = layout_index_view(observe->segment.base, observe->segment.bytes, &observe->index);
    }
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "its index cannot be read: %s", status_meaning(status));
    }
    return status;
}

int observe_open(struct observe *out_observe, const char *path, char *why, size_t why_bytes)
{
    *out_observe = (struct observe){.segment = SEGMENT_NONE};
    int sock = knock(path, why, why_bytes);
    if (sock < 0) {
        return STATUS_NO_SERVER;
    }
    int status = take(out_observe, sock, why, why_bytes);
    (void)close(sock);
    if (status != STATUS_OK) {
        observe_close(out_observe);
    }
    return status;
}

void observe_close(struct observe *observe)
{
    if (observe != NULL) {
        segment_close(&observe->segment);
    }
}
