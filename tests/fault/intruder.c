/* intruder: attach by hand; see intruder.h. */
#include "tests/fault/intruder.h"

#include "shm/bell.h"
#include "tests/e2e/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

struct hello intruder_hello(void)
{
    struct hello hello = {
        .magic = HELLO_MAGIC,
        .abi = LAYOUT_ABI,
        .kind = HELLO_ATTACH,
        .seats = 2,
        .pins = 64,
        .grants = 8,
        .space = {.name = "test",
            .model = "none",
            .dtype = "bytes",
            .layout = "bytes",
            .engine = "test 1",
            .block_bytes = WORKER_BLOCK_BYTES,
            .block_tokens = 16,
            .tp_size = 1,
            .pp_size = 1},
    };
    return hello;
}

int intruder_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 20};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    return fd;
}

int intruder_answer(int socket, struct welcome *out_welcome)
{
    int fds[HELLO_FD_MAX];
    uint32_t count = 0;
    int status = hello_receive(socket, out_welcome, sizeof *out_welcome, fds, HELLO_FD_MAX, &count);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        (void)close(fds[i]);
    }
    return status;
}

/* Map a copy of a descriptor, and keep the descriptor. */
static void map(
    struct child_page *page, int fd, uint64_t bytes, bool writable, struct segment *out_segment)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int status = segment_map(copy, bytes, writable, out_segment);
    child_need(page, status == STATUS_OK, "map: %s", status_name(status));
}

void intruder_attach(struct child_page *page, struct intruder *out_intruder, const char *path,
    const struct hello *hello)
{
    struct intruder intruder = {.socket = intruder_connect(path), .bell = -1};
    struct welcome *welcome = &intruder.welcome;
    uint32_t count = 0;
    child_need(page, intruder.socket >= 0, "connect");
    for (int i = 0; i < HELLO_FD_MAX; i++) {
        intruder.fds[i] = -1;
    }
    int status = hello_send(intruder.socket, hello, sizeof *hello, NULL, 0);
    child_need(page, status == STATUS_OK, "hello: %s", status_name(status));
    status = hello_receive(
        intruder.socket, welcome, sizeof *welcome, intruder.fds, HELLO_FD_MAX, &count);
    child_need(page, status == STATUS_OK && welcome->status == STATUS_OK, "welcome: %s, %s: %s",
        status_name(status), status_name(welcome->status), welcome->why);
    bool isolated = (welcome->flags & WELCOME_ISOLATED) != 0;
    child_need(
        page, count == (isolated ? HELLO_FD_MAX : HELLO_FD_STAGING), "%u descriptors", count);
    intruder.shape = (struct lane_shape){.seats = welcome->seats, .pins = welcome->pins};
    intruder.bell = intruder.fds[HELLO_FD_BELL];
    map(page, intruder.fds[HELLO_FD_INDEX], welcome->index_bytes, false, &intruder.index);
    map(page, intruder.fds[HELLO_FD_LANE_CLIENT], welcome->lane_client_bytes, true,
        &intruder.lane_client);
    map(page, intruder.fds[HELLO_FD_LANE_SERVER], welcome->lane_server_bytes, false,
        &intruder.lane_server);
    map(page, intruder.fds[HELLO_FD_POOL], welcome->pool_bytes, !isolated, &intruder.pool);
    if (isolated) {
        map(page, intruder.fds[HELLO_FD_STAGING], welcome->staging_bytes, true, &intruder.staging);
    }
    intruder.seat =
        lane_seat_at(&intruder.shape, intruder.lane_client.base, intruder.lane_server.base, 0);
    intruder.requests = lane_request_writer(&intruder.seat);
    intruder.replies = lane_reply_reader(&intruder.seat);
    struct lane_client_header *header = intruder.lane_client.base;
    shared32_store_release(&header->seats_used, 1);
    *out_intruder = intruder;
}

void intruder_send(struct intruder *intruder, const struct request *request)
{
    ring_fill(&intruder->requests, request);
    ring_publish(&intruder->requests);
    bell_ring(intruder->bell);
}

bool intruder_reply(struct intruder *intruder, uint64_t wait_ns, struct reply *out_reply)
{
    uint64_t deadline = child_now_ns() + wait_ns;
    while (ring_look(&intruder->replies) != RING_ENTRY) {
        if (child_now_ns() > deadline) {
            return false;
        }
        bell_ring(intruder->bell);
        child_nap();
    }
    ring_copy(&intruder->replies, out_reply);
    ring_return(&intruder->replies);
    return true;
}

struct reply intruder_borrow(struct child_page *page, struct intruder *intruder)
{
    struct request request = {.type = REQUEST_GRANT, .count = 1, .cookie = 1};
    struct reply reply = {0};
    intruder_send(intruder, &request);
    bool came = intruder_reply(intruder, CHILD_WAIT_NS / 4, &reply);
    child_need(page, came && reply.type == REPLY_GRANT && reply.status == STATUS_OK,
        "no slot was lent: %s", status_name(reply.status));
    return reply;
}

bool intruder_fence(struct intruder *intruder, uint64_t wait_ns)
{
    struct request request = {.type = REQUEST_FENCE, .cookie = child_now_ns()};
    struct reply reply;
    intruder_send(intruder, &request);
    while (intruder_reply(intruder, wait_ns, &reply)) {
        if (reply.type == REPLY_FENCE && reply.cookie == request.cookie) {
            return true;
        }
    }
    return false;
}

bool intruder_is_thrown_out(struct intruder *intruder, uint64_t wait_ns)
{
    struct pollfd look = {.fd = intruder->socket, .events = POLLIN};
    uint64_t deadline = child_now_ns() + wait_ns;
    while (child_now_ns() < deadline) {
        bell_ring(intruder->bell);
        if (poll(&look, 1, 100) > 0) {
            char byte;
            ssize_t got = recv(intruder->socket, &byte, sizeof byte, MSG_DONTWAIT);
            if (got == 0 || (look.revents & POLLHUP) != 0) {
                return true;
            }
        }
    }
    return false;
}
