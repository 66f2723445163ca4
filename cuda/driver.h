/* driver: the CUDA driver, loaded while the program runs; without it there is host memory alone.
 *
 *   driver_open ── dlopen("libcuda.so.1") ─▶ cuGetProcAddress ─▶ a table of driver.def, by version
 *
 * Used by all of cuda/. Owned by the server, or by a client's handle: each loads its own table,
 * nothing is global. Threads may share it: after driver_open() it is only read. The structs below
 * are those of the driver's ABI, under our names (tests/abi compares them with cuda.h).
 */
#ifndef CISTERN_CUDA_DRIVER_H
#define CISTERN_CUDA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct driver_context;
struct driver_stream;
struct driver_event;

struct driver_uuid {
    unsigned char byte[16];
};

struct driver_ipc_handle {
    unsigned char byte[64];
};

struct driver_location {
    int type; /* DRIVER_LOCATION_… */
    int id; /* the device */
};

/* What cuMemCreate() shall make. */
struct driver_allocation {
    int type; /* DRIVER_PINNED */
    int handle_types; /* DRIVER_HANDLE_…, or-ed: fixed for the life of the memory */
    struct driver_location location;
    void *windows; /* NULL */
    unsigned char compression;
    unsigned char rdma; /* 1: a NIC may reach it */
    unsigned short usage;
    unsigned char reserved[4];
};

struct driver_access {
    struct driver_location location;
    int flags; /* DRIVER_ACCESS_… */
};

/* How the copies of one batch may be done. */
struct driver_copy {
    int order; /* DRIVER_ORDER_STREAM */
    struct driver_location from;
    struct driver_location to;
    unsigned flags;
};

enum driver_result { /* those that decide something */
    DRIVER_SUCCESS = 0,
    DRIVER_INVALID_VALUE = 1,
    DRIVER_OUT_OF_MEMORY = 2,
    DRIVER_NOT_INITIALIZED = 3,
    DRIVER_DEINITIALIZED = 4,
    DRIVER_STUB_LIBRARY = 34,
    DRIVER_NO_DEVICE = 100,
    DRIVER_INVALID_DEVICE = 101,
    DRIVER_INVALID_CONTEXT = 201,
    DRIVER_MAP_FAILED = 205,
    DRIVER_ALREADY_MAPPED = 208,
    DRIVER_INVALID_HANDLE = 400,
    DRIVER_ILLEGAL_STATE = 401,
    DRIVER_NOT_READY = 600,
    DRIVER_ILLEGAL_ADDRESS = 700,
    DRIVER_TOO_MANY_PEERS = 711,
    DRIVER_ALREADY_REGISTERED = 712,
    DRIVER_NOT_REGISTERED = 713,
    DRIVER_NOT_PERMITTED = 800,
    DRIVER_NOT_SUPPORTED = 801,
    DRIVER_SYSTEM_NOT_READY = 802,
    DRIVER_MISMATCH = 803,
    DRIVER_COMPAT = 804,
    DRIVER_MPS_FIRST = 805,
    DRIVER_MPS_LAST = 810
};

enum driver_attribute { /* of a device */
    DRIVER_HAS_VMM = 102,
    DRIVER_HAS_POSIX_FD = 103,
    DRIVER_HAS_RDMA_VMM = 110,
    DRIVER_HAS_TIMELINE = 122,
    DRIVER_HAS_IPC = 125,
    DRIVER_HAS_FABRIC = 128
};

#define DRIVER_PINNED 1
#define DRIVER_LOCATION_DEVICE 1
#define DRIVER_HANDLE_POSIX_FD 1
#define DRIVER_HANDLE_FABRIC 8
#define DRIVER_ACCESS_READ 1
#define DRIVER_ACCESS_READ_WRITE 3
#define DRIVER_GRANULARITY_RECOMMENDED 1
#define DRIVER_IPC_LAZY_PEER 1u
#define DRIVER_STREAM_NON_BLOCKING 1u
#define DRIVER_EVENT_DISABLE_TIMING 2u
#define DRIVER_WAIT_GEQ 0u
#define DRIVER_REGISTER_PORTABLE 1u
#define DRIVER_REGISTER_DEVICE_MAP 2u
#define DRIVER_ORDER_STREAM 1

enum driver_need {
    DRIVER_NEEDED,
    DRIVER_VMM, /* memory that travels as a file descriptor */
    DRIVER_LEGACY, /* cuIpc handles */
    DRIVER_TIMELINE, /* a stream writes or awaits a word */
    DRIVER_BATCH, /* many copies in one call */
    DRIVER_HOST, /* host memory that a device may use */
    DRIVER_NEEDS
};

struct driver {
    void *library; /* NULL: none */
    int version; /* 1000 * major + 10 * minor */
    bool has[DRIVER_NEEDS]; /* all entries of the group are there */
#define ENTRY(need, field, name, version, parameters) int(*field) parameters;
#include "cuda/driver.def"
#undef ENTRY
};

/* Load the driver and start it. May take a second the first time on a host: the driver wakes its
 * devices. `why` says what was found; on failure what is missing, and the remedy.
 * Returns 0; STATUS_UNSUPPORTED: no driver, a stub, no device, another version, or too old (serve
 * from host memory); STATUS_BUSY: its daemons are not up yet. */
int driver_open(struct driver *out_driver, char *why, size_t why_bytes);

/* The driver itself stays loaded: it starts threads, and cannot be unloaded safely. Accepts one
 * that was not opened. */
void driver_close(struct driver *driver);

/* "CUDA_ERROR_OUT_OF_MEMORY: out of memory (2)". */
void driver_say(const struct driver *driver, int result, char *out_text, size_t text_bytes);

/* What we tell our callers of a result: 0, STATUS_INVALID, STATUS_NO_MEMORY, STATUS_UNSUPPORTED,
 * STATUS_BUSY, or STATUS_DEVICE_LOST where only a new process helps. */
int driver_status(int result);

#endif
