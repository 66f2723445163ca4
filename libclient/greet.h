/* greet: the client's side of the door: connect, hello, welcome, in steps that never block long.
 *
 * Called by libclient/reattach, by one thread at a time. Always: a late welcome is not lost; the
 * socket is kept and looked at again in the next step.
 */
#ifndef CISTERN_LIBCLIENT_GREET_H
#define CISTERN_LIBCLIENT_GREET_H

#include "shm/hello.h"

#include <stdint.h>

/* A handshake under way; socket -1: none is. */
struct greet {
    int socket;
};

#define GREET_NONE ((struct greet){.socket = -1})

/* What a welcome brought: all of it is the caller's. */
struct greet_gift {
    struct welcome welcome;
    int socket;
    int fds[HELLO_FDS];
    uint32_t fd_count;
};

/* Go on with the handshake, waiting `wait_ns` at most. Returns 0 and the gift; STATUS_BUSY: not
 * yet, call again; any other status: refused or failed, and the handshake starts anew at the
 * next call; cistern_why() then has the cause. */
int greet_step(struct greet *greet, const char *path, const struct hello *hello, uint64_t wait_ns,
    struct greet_gift *out_gift);

/* Give a handshake up. */
void greet_close(struct greet *greet);

/* Close whatever of a gift was not taken over. */
void greet_refuse(struct greet_gift *gift);

#endif
