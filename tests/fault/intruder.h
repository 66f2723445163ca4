/* intruder: a client that speaks the door's protocol by hand, and keeps no promise.
 *
 * Runs in a child (tests/e2e/child.h), so that the sidecar sees it end. It is what a hostile or
 * broken libcistern could be: it has exactly what any client is given.
 */
#ifndef CISTERN_TESTS_FAULT_INTRUDER_H
#define CISTERN_TESTS_FAULT_INTRUDER_H

#include "shm/hello.h"
#include "shm/lane.h"
#include "shm/segment.h"
#include "shm/status.h"
#include "tests/e2e/child.h"

struct intruder {
    int socket;
    int bell;
    int fds[HELLO_FD_MAX]; /* copies of what came, kept open; -1: did not come */
    struct welcome welcome;
    struct lane_shape shape;
    struct segment index;
    struct segment lane_client;
    struct segment lane_server;
    struct segment pool;
    struct segment staging; /* isolated clients */
    struct lane_seat seat; /* seat 0 */
    struct ring_writer requests;
    struct ring_reader replies;
};

/* A hello that the sidecar would welcome: the namespace of tests/e2e/worker.h, 2 seats, 64 pins. */
struct hello intruder_hello(void);

/* Connect. Returns the socket, or -1. Reads from it wait 20 s at most. */
int intruder_connect(const char *path);

/* Receive a welcome. Returns as hello_receive(); the descriptors are closed. */
int intruder_answer(int socket, struct welcome *out_welcome);

/* Connect, greet and map everything. Ends the process if it is not let in. */
void intruder_attach(struct child_page *page, struct intruder *out_intruder, const char *path,
    const struct hello *hello);

/* Send one request, whatever is in it, and ring. */
void intruder_send(struct intruder *intruder, const struct request *request);

/* Wait for the next reply of seat 0. Returns false if none comes for `wait_ns`. */
bool intruder_reply(struct intruder *intruder, uint64_t wait_ns, struct reply *out_reply);

/* Ask for one slot. Ends the process if it is not lent. */
struct reply intruder_borrow(struct child_page *page, struct intruder *intruder);

/* Wait until everything sent so far was handled. Returns false if the sidecar does not say so. */
bool intruder_fence(struct intruder *intruder, uint64_t wait_ns);

/* Has the sidecar closed its end of the socket? Waits for it. */
bool intruder_is_thrown_out(struct intruder *intruder, uint64_t wait_ns);

#endif
