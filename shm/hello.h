/* hello: the words at the door: one message each way over a unix SEQPACKET socket.
 *
 * The client says what it is and wants, the server answers with sizes and descriptors (SCM_RIGHTS),
 * or with a status and a sentence. Written by libclient/attach and sidecar/session/door. Everything
 * in them is foreign to the other side and checked there.
 */
#ifndef CISTERN_SHM_HELLO_H
#define CISTERN_SHM_HELLO_H

#include "shm/space.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define HELLO_MAGIC UINT32_C(0x4f4c4c48) /* "HLLO" */
#define HELLO_WHY 512u
#define HELLO_INFO 1024u
#define HELLO_UUID 16u
#define HELLO_SLABS 128u /* of a device pool */
#define HELLO_IPC 64u /* bytes of a cuIpc handle */

enum hello_kind {
    HELLO_ATTACH = 1, /* a worker: give me a lane */
    HELLO_OBSERVE = 2, /* a tool: give me the index to read */
    HELLO_GOODBYE = 3, /* the client unmapped everything and will write nothing more */
    HELLO_FORMER = 4 /* the same of its session `former`, at the server before this one */
};

#define HELLO_ISOLATED 1u /* attach: I want private staging even if I am trusted */
#define HELLO_DEVICE 4u /* attach: I use `device`; map me its part of the pool, if there is one */
#define HELLO_LATE_WRITES 2u /* attach: a GPU or a disk may write my slots after my death */

struct hello {
    uint32_t magic;
    uint32_t abi; /* LAYOUT_ABI */
    uint32_t kind;
    uint32_t flags;
    uint32_t seats; /* threads that may use the handle, 1 to LANE_SEATS_MAX */
    uint32_t pins; /* pin records a seat, 1 to LANE_PINS_MAX */
    uint32_t grants; /* slots that may be lent to the client at one time */
    /* FORMER, and ATTACH if one is to be given up: a session of this process at an earlier server,
     * by its welcome: the process reads nothing through it and writes nothing of it any more. */
    uint32_t former; /* 0: none */
    uint64_t former_epoch;
    uint8_t device[HELLO_UUID]; /* of the GPU; with HELLO_DEVICE */
    struct space space;
};

/* The descriptors that follow a welcome, in this order. An observer gets the first alone. Behind
 * the last of them come those of the device's slabs, if they travel as descriptors. */
enum hello_fd {
    HELLO_FD_INDEX, /* read-only */
    HELLO_FD_BELL, /* eventfd: the client rings, the server listens */
    HELLO_FD_LANE_CLIENT, /* read-write */
    HELLO_FD_LANE_SERVER, /* read-only */
    HELLO_FD_POOL, /* read-write if trusted, else read-only */
    HELLO_FD_STAGING, /* read-write; isolated clients only */
    HELLO_FD_MAX
};

#define HELLO_FDS (HELLO_FD_MAX + HELLO_SLABS)

enum hello_slabs {
    HELLO_SLABS_FD, /* descriptors that the CUDA driver exports */
    HELLO_SLABS_IPC /* cuIpc handles */
};

#define WELCOME_ISOLATED 1u /* the pool is read-only, grants lie in the staging segment */

struct welcome {
    uint32_t magic;
    uint32_t abi;
    int32_t status; /* enum status; not 0: `why` says more and nothing else is set */
    uint32_t flags;
    uint32_t session; /* the server's number for this client; also in its log */
    uint32_t space; /* number of the namespace in the descriptors */
    uint32_t seats; /* as granted: at most what was asked */
    uint32_t pins;
    uint32_t grants;
    uint32_t fds; /* how many descriptors follow */
    uint64_t index_bytes;
    uint64_t lane_client_bytes;
    uint64_t lane_server_bytes;
    uint64_t pool_bytes;
    uint64_t staging_bytes;
    uint64_t epoch;
    /* Which memory a slot number means: [0, host_slots) is the pool, [device_first, device_first +
     * device_slots) is that of the session's device. */
    uint32_t host_slots;
    uint32_t device_first;
    uint32_t device_slots;
    uint32_t device_slabs; /* 0: there is none for this session */
    uint32_t device_kind; /* enum hello_slabs */
    uint32_t device_grants; /* slots of it that may be lent at one time */
    int32_t device_status; /* why there is none, though it was asked for; `why` says more */
    uint32_t zero;
    uint64_t device_bytes;
    uint64_t device_slab_bytes; /* of each */
    uint64_t device_pool; /* a number that no other memory of a device ever has */
    char why[HELLO_WHY];
    char info[HELLO_INFO]; /* observers: lines "name value", for people */
    uint8_t device_ipc[HELLO_SLABS][HELLO_IPC]; /* with HELLO_SLABS_IPC */
};

static_assert(sizeof(struct hello) == 56 + sizeof(struct space), "no padding on the wire");
static_assert(offsetof(struct welcome, index_bytes) == 40, "no padding on the wire");
static_assert(sizeof(struct welcome) == 144 + HELLO_WHY + HELLO_INFO + HELLO_SLABS * HELLO_IPC,
    "no padding on the wire");

/* Send one message with `fd_count` descriptors; the descriptors stay the caller's.
 * Returns 0, STATUS_BUSY if the socket would block, or STATUS_NO_SERVER if the peer is gone. */
int hello_send(int socket, const void *message, size_t bytes, const int *fds, uint32_t fd_count);

/* Receive one message of exactly `bytes` and its descriptors, which become the caller's. Surplus
 * descriptors are closed. Never blocks longer than the socket's own timeout.
 * Returns 0, STATUS_BUSY (nothing there), STATUS_NO_SERVER (hung up) or STATUS_MALFORMED. */
int hello_receive(int socket, void *out_message, size_t bytes, int *out_fds, uint32_t fd_room,
    uint32_t *out_count);

#endif
