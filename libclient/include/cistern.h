/* cistern: share the KV cache of large language models between all inference processes of a host.
 *
 *     cistern_open ──▶ cistern_keys ──▶ cistern_match, cistern_acquire ──▶ read ──▶ cistern_release
 *                           │ missing
 *                           ├▶ cold: cistern_fetch ──▶ cistern_acquire
 *                           └▶ cistern_claim ──▶ cistern_reserve ──▶ write ──▶ cistern_commit
 *
 * A hit reads the block where it lies: no copy, no message, no system call, no lock.
 *
 * Statuses: 0 done; above 0 an answer that is no failure (CISTERN_MISS); below 0 as the table at
 * the end says. Outputs come last and are written on success only. cistern_why() says more about
 * the last failure of the calling thread.
 *
 * Threads: a handle may be used by several threads at once, up to `threads_max`, each with pins and
 * rings of its own, so calls do not wait for each other; a view may be released, and a slot
 * committed, by another one. Fork: a child opens a handle of its own; with the parent's, every call
 * returns CISTERN_FORKED.
 *
 * The sidecar may stop or restart at any time: calls then return CISTERN_NO_SERVER (compute without
 * the cache), views stay readable, and the library attaches again by itself.
 */
#ifndef CISTERN_H
#define CISTERN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CISTERN_API __attribute__((visibility("default")))
#else
#define CISTERN_API
#endif

#define CISTERN_VERSION_MAJOR 0
#define CISTERN_VERSION_MINOR 1

/* One attachment of this process to the sidecar, and its threads' lanes. */
typedef struct cistern cistern_t;

/* The name of a block: 32 bytes. */
struct cistern_key {
    uint8_t bytes[32];
};

/* Everything that must be equal for two blocks to be interchangeable. Two workers that give the
 * same `name`, tenant and ranks but differ elsewhere are told so at open (CISTERN_NAMESPACE), never
 * given each other's blocks. Texts may be NULL, which means "". Read during cistern_open() only. */
struct cistern_namespace {
    uint32_t size; /* sizeof(struct cistern_namespace) */
    uint32_t block_tokens; /* tokens a block; not 0 */
    uint64_t block_bytes; /* bytes of a block: all layers of this rank; not 0, below 4 GiB */
    const char *name; /* up to 63 bytes; not empty: what people call it */
    const char *model; /* up to 191 bytes: identity and revision of the weights */
    const char *dtype; /* this one and the following: up to 63 bytes each */
    const char *layout; /* order of the dimensions, slowest first */
    const char *rope;
    const char *lora;
    const char *engine; /* engine, and version of its block format */
    const char *tenant;
    uint32_t layers;
    uint32_t heads;
    uint32_t head_size;
    uint32_t tp_rank;
    uint32_t tp_size; /* 0 means 1 */
    uint32_t pp_rank;
    uint32_t pp_size; /* 0 means 1 */
    uint32_t reserved; /* 0 */
    const void *secret; /* tenant secret: keys the chains (HMAC), never leaves the process */
    size_t secret_bytes; /* 0: none */
};

/* Only `size` and `space` must be set; 0 or NULL elsewhere means the default. */
struct cistern_options {
    uint32_t size; /* sizeof(struct cistern_options) */
    uint32_t flags; /* CISTERN_ISOLATED and the like */
    const struct cistern_namespace *space;
    const char *socket_path; /* NULL: $CISTERN_SOCKET, else /run/cistern/cistern.sock */
    uint32_t threads_max; /* threads that may use the handle at once: default 4, at most 64 */
    uint32_t pins_per_thread; /* views a thread may hold: default 1024, at most 65536. The sidecar
                               * promises less if the pool is small: see cistern_stats */
    uint32_t grants_ahead; /* slots lent to a thread in advance: default 4, at most 128 */
    uint32_t reserved; /* 0 */
    int64_t timeout_ns; /* how long open may take; default 1 s */
    /* The GPU whose part of the pool is read in place: NULL or "none": no one, host memory alone;
     * "auto": the first that this process sees, if there is any; or a UUID as nvidia-smi -L prints
     * it, or its beginning, which must be there. A handle uses one at most. */
    const char *device;
};

#define CISTERN_ISOLATED 1u /* write through private staging even where the pool may be mapped */
#define CISTERN_LATE_WRITES 2u /* a GPU or a disk writes my slots: they are quarantined if I die */
#define CISTERN_CHECKSUM 4u /* commits carry a checksum; copying gets verify those that do */
#define CISTERN_DEVICE_READ 8u /* map the device for reading alone; see cistern_device.h */

/* One pinned block: `bytes` bytes at `data`, in the namespace's dtype and layout, readable until
 * cistern_release(). Never write to it. With CISTERN_TIER_DEVICE, `data` is an address of the
 * handle's device (a CUdeviceptr): for kernels and copies, not for the processor. */
struct cistern_view {
    const void *data;
    uint64_t bytes;
    uint32_t tier; /* enum cistern_tier */
    uint32_t opaque[5]; /* the library's */
};

enum cistern_tier { CISTERN_TIER_HOST = 0, CISTERN_TIER_DEVICE = 1 };

/* One slot lent to this process to be filled: up to `bytes` bytes at `data`. */
struct cistern_slot {
    void *data;
    uint64_t bytes;
    uint64_t opaque[3]; /* the library's */
};

/* What a match found. */
struct cistern_match {
    uint32_t size; /* sizeof(struct cistern_match), set by the caller */
    uint32_t hot; /* blocks at the start of the prefix that can be acquired now */
    uint32_t cold; /* blocks behind them that lower tiers or other devices may have, or that are hot
                    * behind such ones: what cistern_fetch() asks for (advice) */
    uint32_t reserved;
};

/* One answer of the asynchronous calls, from cistern_drain(). */
struct cistern_event {
    uint64_t cookie; /* as given to cistern_wait_async() or cistern_fetch_async() */
    int32_t status; /* as cistern_wait() or cistern_fetch() returns it */
    uint32_t hot; /* of a fetch: blocks at the start of what was asked that are hot; else 0 */
};

/* What this handle did since it was opened. Counts of all its threads. */
struct cistern_stats {
    uint32_t size; /* sizeof(struct cistern_stats), set by the caller */
    uint32_t attached; /* 1 if a sidecar serves the handle now */
    uint64_t hits; /* blocks pinned */
    uint64_t misses; /* lookups that ended at a block that was not hot */
    uint64_t retries; /* looks again, because a slot was being retired */
    uint64_t violations; /* copies thrown away because the slot changed under the pin: must be 0 */
    uint64_t checksum_failures; /* copies thrown away because their checksum was wrong */
    uint64_t commits;
    uint64_t aborts;
    uint64_t grant_waits; /* reserves that had to wait for the sidecar */
    uint64_t bells; /* times a sleeping sidecar was woken */
    uint64_t reattaches;
    /* As granted: a small pool promises less than was asked; 0: detached. */
    uint32_t pins_per_thread;
    uint32_t device; /* 1: views may be of the device now; 0: cistern_device_ready() says why not */
};

/* Attach to the sidecar of this host.
 *
 * options     see above; `size` may be that of an earlier version
 * out_handle  the handle; owned by the caller, given back by cistern_close()
 *
 * With a device, libcuda.so.1 is loaded and the device's primary context retained, the one that
 * engines use: that may take a second, which `timeout_ns` does not count. The calling thread's own
 * context stays current; the handle is one with CISTERN_LATE_WRITES. An isolated handle gets none.
 *
 * Returns 0; CISTERN_NO_SERVER, CISTERN_NAMESPACE, CISTERN_VERSION, CISTERN_DENIED, CISTERN_LIMIT,
 * CISTERN_TOO_LARGE, CISTERN_INVALID (also: no such device), CISTERN_UNSUPPORTED (no driver for the
 * device that was named), CISTERN_DEVICE_LOST or CISTERN_NO_MEMORY; cistern_why() names the cause.
 */
CISTERN_API int cistern_open(const struct cistern_options *options, cistern_t **out_handle);

/* Give everything back: pins, slots, claims, memory. Views and slots of the handle become invalid.
 * Sets *handle to NULL; accepts NULL. No other thread may be inside a call on it. */
CISTERN_API void cistern_close(cistern_t **handle);

/* Keys of a prompt's full blocks.
 *
 * parent      key of the block before the first token, or NULL at the start of a prompt
 * tokens      `token_count` token ids; a last partial block gets no key
 * out_keys    room for token_count / block_tokens keys
 * out_count   keys written
 *
 * Returns 0, CISTERN_INVALID. Cost: one SHA-256 of 32 + 4 × block_tokens bytes a block.
 * Source: the key chain of the design; vLLM hashes its blocks the same way.
 */
CISTERN_API int cistern_keys(cistern_t *handle, const struct cistern_key *parent,
    const uint32_t *tokens, size_t token_count, struct cistern_key *out_keys, size_t *out_count);

/* Keys from an engine's own block hashes: each is folded with the namespace and the group.
 *
 * hashes      `count` hashes of `hash_bytes` each, 1 to 64, one behind the other
 * group       KV cache group of the engine, 0 if it has none
 * out_keys    room for `count`
 */
CISTERN_API int cistern_keys_from_hashes(cistern_t *handle, const void *hashes, size_t hash_bytes,
    size_t count, uint32_t group, struct cistern_key *out_keys);

/* How much of a prefix is here? Pins nothing.
 *
 * keys       `count` keys, first block first; read during the call only
 * out_match  see struct cistern_match
 *
 * Returns 0, also when nothing is hot. Cost: a batch of cache-line loads, and no system call, but
 * that a miss looks at the socket every 50 ms.
 */
CISTERN_API int cistern_match(cistern_t *handle, const struct cistern_key *keys, size_t count,
    struct cistern_match *out_match);

/* Pin the hot blocks at the start of a prefix, to be read in place.
 *
 * keys       `count` keys, first block first; read during the call only
 * out_views  room for `count`; the first `*out_count` are set
 * out_count  hot blocks pinned, 1 to `count`
 *
 * A handle with a device gets the device's copy of a block that lies in both memories.
 * Returns 0; CISTERN_MISS if the first block is not hot; CISTERN_PINS if no pin was free for it. If
 * pins run out later, the views so far are set: release some and go on from there.
 * Cost of a hit: no system call, no lock, no allocation. A miss looks at the socket every 50 ms.
 * Source: orderings 1 and 2 of shm/README.md.
 */
CISTERN_API int cistern_acquire(cistern_t *handle, const struct cistern_key *keys, size_t count,
    struct cistern_view *out_views, size_t *out_count);

/* Bring up what of a prefix is cold, and wait for it.
 *
 * keys        `count` keys, first block first, at most 65536; read during the call only
 * timeout_ns  how long to wait; late is a miss, and the blocks may come all the same
 * out_hot     blocks at the start of the prefix that are hot now, 1 to `count`
 *
 * Asks for all behind the hot start, up to the first block that no lower tier is known to have:
 * one request for the whole tail, one read for all workers that want the same block. What was
 * asked for and is hot is held for this handle until it is acquired, for the sidecar's `hold` at
 * most. Returns 0; CISTERN_MISS if not even the first block is hot at the end; CISTERN_BUSY if the
 * sidecar is behind; CISTERN_LIMIT; CISTERN_NO_SERVER. A prefix of which nothing is cold costs what
 * cistern_match() costs.
 */
CISTERN_API int cistern_fetch(cistern_t *handle, const struct cistern_key *keys, size_t count,
    int64_t timeout_ns, size_t *out_hot);

/* The same, without waiting: the answer comes through cistern_drain() with `cookie`.
 * Returns CISTERN_PENDING. */
CISTERN_API int cistern_fetch_async(cistern_t *handle, const struct cistern_key *keys, size_t count,
    int64_t timeout_ns, uint64_t cookie);

/* A hint: these blocks will be wanted soon. As cistern_fetch(), after everything that somebody
 * waits for; nobody is told, nothing is held, and what a busy sidecar has no room for within a
 * millisecond is left out. Returns 0. */
CISTERN_API int cistern_prefetch(cistern_t *handle, const struct cistern_key *keys, size_t count);

/* Read the first layers of cold blocks while the others are still coming.
 *
 * keys        `count` keys of one prefix, first block first, at most 128
 * layers      how many: 1 to the namespace's `layers`; their bytes must lie first in a block (a
 *             layout that begins with the layers), all layers being of one size
 * timeout_ns  how long to wait for the first layers of all of them
 * out_views   room for `count`; the first `*out_count` are set; `bytes` covers the layers asked for
 *             (all of a block that was hot, or is coded so that it can only be read whole)
 * out_count   1 to `count`
 *
 * The rest of the blocks comes meanwhile: cistern_fetch() waits for it, cistern_acquire() then
 * gives whole views. Release these like any others; they stay readable also if the rest cannot be
 * read. Returns 0, CISTERN_MISS, CISTERN_INVALID if the namespace has no layers or they do not
 * divide the block, CISTERN_PINS, CISTERN_BUSY, CISTERN_LIMIT, CISTERN_NO_SERVER. */
CISTERN_API int cistern_fetch_layers(cistern_t *handle, const struct cistern_key *keys,
    size_t count, uint32_t layers, int64_t timeout_ns, struct cistern_view *out_views,
    size_t *out_count);

/* End the reading of `count` views, after the last byte was read (for a GPU: after its stream
 * passed). Returns 0; CISTERN_STALE if one was released before (the others are released). */
CISTERN_API int cistern_release(cistern_t *handle, struct cistern_view *views, size_t count);

/* Take free slots to fill.
 *
 * count       how many, at most 128
 * timeout_ns  how long to wait for the sidecar if too few were lent in advance
 * out_slots   room for `count`; the first `*out_count` are set
 * out_count   1 to `count`
 *
 * Returns 0; CISTERN_BUSY if no slot could be had in time; CISTERN_LIMIT if too many are lent
 * already. Cost: no system call and no lock while slots lent in advance last.
 */
CISTERN_API int cistern_reserve(cistern_t *handle, size_t count, int64_t timeout_ns,
    struct cistern_slot *out_slots, size_t *out_count);

/* Publish a filled slot under `key`; the slot is the sidecar's from here on.
 *
 * parent  key of the block before it in its prefix, or NULL: children are evicted before parents
 * bytes   how many were written, 1 to slot->bytes
 *
 * The block is visible to every process as soon as the sidecar has read the message: under a
 * microsecond if it polls. If the key is hot already, the first writer wins and the slot goes back.
 * Returns 0; CISTERN_STALE if the slot was committed or aborted before; CISTERN_NO_SERVER if the
 * sidecar that lent it is gone. Cost: no round trip; one system call only if the sidecar sleeps.
 */
CISTERN_API int cistern_commit(cistern_t *handle, struct cistern_slot *slot,
    const struct cistern_key *key, const struct cistern_key *parent, uint64_t bytes);

/* Give a slot back unused. Returns as cistern_commit(). */
CISTERN_API int cistern_abort(cistern_t *handle, struct cistern_slot *slot);

/* Wait until the sidecar has handled all that this thread sent before.
 * Returns 0, CISTERN_BUSY at the deadline, CISTERN_NO_SERVER. */
CISTERN_API int cistern_flush(cistern_t *handle, int64_t timeout_ns);

/* Copy a hot block out: `room` bytes at `out_data`; `*out_bytes` is the block's size. What lies at
 * `out_data` after anything but 0 is undefined. What only the handle's device has is copied by it,
 * which waits for a stream.
 * Returns 0, CISTERN_MISS, CISTERN_TOO_LARGE if the room is too small. */
CISTERN_API int cistern_get(cistern_t *handle, const struct cistern_key *key, void *out_data,
    uint64_t room, uint64_t *out_bytes);

/* Copy a block in and publish it: reserve (for 100 ms at most), memcpy, commit. Of a hot key
 * nothing is copied. Returns as cistern_reserve() and cistern_commit(). */
CISTERN_API int cistern_put(cistern_t *handle, const struct cistern_key *key,
    const struct cistern_key *parent, const void *data, uint64_t bytes);

/* "I am going to compute this block." Compute once per host.
 *
 * Returns 0 if the block is hot already; CISTERN_MINE: compute and commit it, or give the claim up
 * with cistern_unclaim(); CISTERN_OTHER: another worker computes it, cistern_wait() waits for it.
 * A claim ends with the commit of its key, with the claimer's death, or at the sidecar's claim_ms.
 * CISTERN_BUSY if the sidecar does not answer within a second; CISTERN_LIMIT.
 */
CISTERN_API int cistern_claim(cistern_t *handle, const struct cistern_key *key);

/* Give a claim up; the next waiter gets it. Returns 0. */
CISTERN_API int cistern_unclaim(cistern_t *handle, const struct cistern_key *key);

/* Wait for a block that another worker computes.
 * Returns 0: it is hot; CISTERN_MINE: the claimer gave up or died, the claim is yours now;
 * CISTERN_MISS: the deadline passed, or nobody computes it. */
CISTERN_API int cistern_wait(cistern_t *handle, const struct cistern_key *key, int64_t timeout_ns);

/* The same, without waiting: the answer comes through cistern_drain() with `cookie`.
 * Returns CISTERN_PENDING. */
CISTERN_API int cistern_wait_async(
    cistern_t *handle, const struct cistern_key *key, int64_t timeout_ns, uint64_t cookie);

/* A descriptor that polls readable while answers may wait for cistern_drain(). The library's: do
 * not read or close it; valid until cistern_close(), also across a restart of the sidecar.
 * Returns -1 with the parent's handle in a forked child. */
CISTERN_API int cistern_fd(cistern_t *handle);

/* Take the answers that arrived: up to `room` events, `*out_count` of them. Never waits. Threads:
 * one at a time. Returns 0, also when there are none. */
CISTERN_API int cistern_drain(
    cistern_t *handle, struct cistern_event *out_events, size_t room, size_t *out_count);

/* Can views be of the device now? Returns 0 if they can, and else why not, which cistern_why() says
 * in words: CISTERN_UNSUPPORTED (none was asked for, there is no driver, or the sidecar has no
 * memory of it), CISTERN_INVALID (no device is seen), CISTERN_DEVICE_LOST (it failed: host memory
 * serves on, until a new process), CISTERN_NO_SERVER, or as the sidecar or the driver says. */
CISTERN_API int cistern_device_ready(cistern_t *handle);

/* Counts of this handle. Returns 0. */
CISTERN_API int cistern_stats(cistern_t *handle, struct cistern_stats *out_stats);

/* Name, meaning and advice of a status. Never NULL. */
CISTERN_API const char *cistern_status_name(int status);
CISTERN_API const char *cistern_status_meaning(int status);
CISTERN_API const char *cistern_status_advice(int status);

/* What the last call of this thread that failed has to say; "" if nothing. Valid until the thread's
 * next failing call. Never NULL. */
CISTERN_API const char *cistern_why(void);

/* Statuses. The number's range is the group; a released number never changes. */
enum cistern_status {
    CISTERN_OK = 0,
    /* answers: compute, or wait */
    CISTERN_MISS = 1,
    CISTERN_PENDING = 2,
    CISTERN_MINE = 3,
    CISTERN_OTHER = 4,
    /* this call is wrong: correct the caller */
    CISTERN_INVALID = -1,
    CISTERN_NAMESPACE = -2,
    CISTERN_STALE = -3,
    CISTERN_FORKED = -4,
    CISTERN_TOO_LARGE = -5,
    CISTERN_DENIED = -6,
    /* not now: try again later */
    CISTERN_BUSY = -100,
    CISTERN_PINS = -101,
    CISTERN_THREADS = -102,
    CISTERN_LIMIT = -103,
    /* no cache for now: compute; the library attaches again by itself */
    CISTERN_NO_SERVER = -200,
    CISTERN_DEVICE_LOST = -201, /* but not to a GPU that failed: that takes a new process */
    /* the two sides differ: upgrade one of them */
    CISTERN_VERSION = -300,
    CISTERN_MALFORMED = -301,
    CISTERN_UNSUPPORTED = -302,
    /* something broke: report it */
    CISTERN_INTERNAL = -400,
    CISTERN_IO = -401,
    CISTERN_NO_MEMORY = -402
};

#ifdef __cplusplus
}
#endif

#endif
