/* mark: "the stream got here", seen by the host, and through shared memory by another process.
 *
 *   producer's stream   kernels … ─▶ mark ─▶     the block's bytes are there: it may be committed
 *   consumer's stream   kernels … ─▶ mark ─▶     its reads are over: the pin may go
 *
 * A mark is put into a stream behind the work that counts. Three ways, the best that works:
 *
 *   TIMELINE  the stream writes a word in registered host memory: no processor is needed
 *   CALL      the driver calls back on a thread of its own, which writes the word
 *   EVENT     an event, which only its own process can ask about
 *
 * Every mark has a word of its own while it is taken: marks of several streams pass in any order.
 * Used by libclient on any one thread at a time, between gpu_enter() and gpu_leave(); mark_passed()
 * of TIMELINE and CALL needs no context, and whoever maps the words may look at them too.
 */
#ifndef CISTERN_CUDA_MARK_H
#define CISTERN_CUDA_MARK_H

#include "cuda/gpu.h"
#include "shm/atomic.h"

#define MARK_SLOTS 64u
#define MARK_WORD_BYTES 4096u /* of the words: a page, which is registered as a whole */

enum mark_way { MARK_AUTO, MARK_TIMELINE, MARK_CALL, MARK_EVENT };

/* The words; in memory of the caller, a page, zero at first, shared with whom it may concern. */
struct mark_page {
    /* Each written by a stream or its call: the last value that was passed. */
    _Atomic uint64_t word[MARK_SLOTS];
};

struct mark {
    uint32_t slot;
    uint64_t value; /* passed as soon as the word is at least this */
};

struct marks;

/* A call under way: what the driver hands to us on its thread. */
struct mark_call {
    struct mark_page *page;
    struct mark mark;
};

struct marks {
    const struct gpu *gpu; /* borrowed; NULL: not open */
    enum mark_way way; /* not AUTO */
    struct mark_page *page; /* borrowed */
    bool registered; /* by us */
    uint64_t address; /* TIMELINE: of the page, for streams */
    uint64_t taken; /* a bit a slot */
    uint64_t value[MARK_SLOTS]; /* last given out */
    struct driver_event *event[MARK_SLOTS]; /* EVENT; owned */
    struct mark_call call[MARK_SLOTS]; /* CALL */
};

/* Find the best way by trying each, or try the one that is asked for. `page` is aligned to 4 KiB
 * and outlives the marks. `why` says which, and why not a better one. Returns 0, STATUS_UNSUPPORTED
 * (that way does not work here), STATUS_NO_MEMORY or STATUS_DEVICE_LOST. */
int mark_open(const struct gpu *gpu, enum mark_way way, struct mark_page *page,
    struct marks *out_marks, char *why, size_t why_bytes);

/* All streams that marks were put into have passed them. Accepts one that is not open, and leaves
 * it so. */
void mark_close(struct marks *marks);

/* Put a mark into a stream. Returns 0; STATUS_BUSY: all are taken; or as driver_status(). */
int mark_take(struct marks *marks, struct driver_stream *stream, struct mark *out_mark);

/* Did the stream get there? Everything that it wrote before is visible to who sees 0. Returns 0,
 * STATUS_PENDING or, of EVENT, STATUS_DEVICE_LOST: of a device that failed no word comes any more,
 * so whoever waits asks the driver now and then. */
int mark_passed(const struct marks *marks, const struct mark *mark);

/* The mark is no longer asked about. It has passed. */
void mark_drop(struct marks *marks, const struct mark *mark);

const char *mark_way_name(enum mark_way way);

#endif
