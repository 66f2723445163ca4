/* disk: transfers of one file, many at a time: the engine of an I/O thread.
 *
 * Called by nvme_thread and what it is made of, on that thread alone. Engines: disk_uring, and
 * disk_threads where the host refuses io_uring. An engine is chosen once, when the thread starts.
 *
 *   idle ── start ──▶ under way ── wait, next ──▶ idle     each started operation comes back once
 *
 * Always: an operation that comes back with 0 was carried out whole; what the system cut short was
 * continued.
 */
#ifndef CISTERN_SIDECAR_TIER_DISK_H
#define CISTERN_SIDECAR_TIER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_NOTE 256u
#define DISK_TRIES 64u /* continuations of one operation without a byte of progress */
#define DISK_BYTES_MOST (UINT32_C(8) << 20) /* asked for at once; longer operations are continued */

enum disk_kind {
    DISK_READ,
    DISK_WRITE,
    DISK_WRITE_THROUGH, /* done when it is durable */
    DISK_SYNC /* done when all that was written and answered before is durable */
};

/* One operation. Owned by the caller; from start() until next() returned it, the engine's. */
struct disk_op {
    enum disk_kind kind;
    int result; /* out: 0, or -errno; -ENODATA: the file ends before */
    uint64_t offset;
    uint64_t bytes;
    void *data;
    void *context; /* the caller's */
    /* the engine's */
    uint64_t done_bytes;
    uint32_t tries;
    struct disk_op *next;
};

/* Operations in the order in which they came. For engines; empty after disk_list_open(). */
struct disk_list {
    struct disk_op *first;
    struct disk_op **end;
};

static inline void disk_list_open(struct disk_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static inline void disk_list_put(struct disk_list *list, struct disk_op *op)
{
    op->next = NULL;
    *list->end = op;
    list->end = &op->next;
}

/* The oldest, or NULL. */
static inline struct disk_op *disk_list_take(struct disk_list *list)
{
    struct disk_op *op = list->first;
    if (op != NULL) {
        list->first = op->next;
        list->end = list->first == NULL ? &list->first : list->end;
    }
    return op;
}

/* What an engine makes of an operation before anything else. */
static inline void disk_begin(struct disk_op *op)
{
    op->done_bytes = 0;
    op->tries = 0;
    op->result = 0;
}

/* All is borrowed until close(). */
struct disk_options {
    int fd;
    int wake_fd; /* an eventfd that blocks; a ring of it ends wait() */
    uint32_t depth; /* operations under way at one time, about */
    const void *pool; /* where most transfers will be */
    uint64_t pool_bytes; /* 0: none */
    void *staging; /* where the others will be */
    uint64_t staging_bytes;
};

struct disk;

struct disk_ops {
    const char *name;

    /* Returns 0, and `why` says what was opened; STATUS_UNSUPPORTED (refused: by whom, and the
     * remedy), STATUS_NO_MEMORY. Called on the thread that will make all other calls. */
    int (*open)(
        const struct disk_options *options, struct disk **out_disk, char *why, size_t why_bytes);

    /* Begin. Cannot fail: what goes wrong is a result. */
    void (*start)(struct disk *disk, struct disk_op *op);

    /* Hand over what was started, now: the caller has other work before it waits. */
    void (*submit)(struct disk *disk);

    /* Hand over what was started and wait until next() has something, the wake_fd was rung (it is
     * read here) or `timeout_ns` passed; 0: just look. */
    void (*wait)(struct disk *disk, int64_t timeout_ns);

    /* The next finished operation, or NULL. */
    struct disk_op *(*next)(struct disk *disk);

    /* Nothing is under way any more. Accepts NULL. */
    void (*close)(struct disk *disk);
};

/* The first member of every engine. */
struct disk {
    const struct disk_ops *ops;
    char note[DISK_NOTE]; /* something a person should know; whoever passes it on empties it */
};

extern const struct disk_ops disk_uring;
extern const struct disk_ops disk_threads;

#endif
