/* nvme_worker: what an I/O thread of the nvme tier consists of. For nvme_thread, nvme_read,
 * nvme_group, nvme_write,
 * nvme_recover, nvme_watch and nvme_staging alone; all of it runs on that thread.
 *
 *   nvme_thread   takes ops from the channel, waits, hands finished transfers back
 *   nvme_read     LOAD: payload, verify, decode; parts first
 *   nvme_group    STORE, MOVE: encode, group, append
 *   nvme_write    REGION: open, seal; MOVE: read
 *   nvme_recover  HEADERS, FOUND: what an earlier life left
 *   nvme_watch    the disk fails, the file is taken away, both may come back
 *   nvme_staging  memory that transfers may use, registered once
 */
#ifndef CISTERN_SIDECAR_TIER_NVME_WORKER_H
#define CISTERN_SIDECAR_TIER_NVME_WORKER_H

#include "sidecar/tier/nvme_thread.h"

#define NVME_WORKER_GROUPS 32u /* groups under way */
#define NVME_WORKER_PARTS 16u /* loads in parts under way */
#define NVME_WORKER_STRETCHES 2u /* regions: one written, one ahead */
#define NVME_WORKER_RECOVER_BYTES (UINT32_C(1) << 20)
#define NVME_WORKER_ERRORS 8u /* failures in a row: then the directory is down */

struct nvme_queue {
    struct nvme_op *first;
    struct nvme_op **end;
    uint32_t count;
};

/* Records that are written as one stretch. */
struct nvme_group {
    struct nvme_format_page *index; /* in staging memory */
    struct nvme_stretch *stretch;
    struct nvme_op *op[NVME_FORMAT_RECORDS];
    uint32_t count;
    uint32_t waiting; /* transfers under way; 0: the group is free */
    uint32_t pages;
    int result; /* 0, or of the first transfer that failed */
    struct nvme_io index_io;
};

/* A region that we may write.
 *
 *   NONE ── REGION op ──▶ OPENING ── its page is durable ──▶ READY ── full ──▶ ENDING ──▶ SEALING
 *     ▲                      │ failed                        groups under way ┘              │
 *     └──────────────────────┴──────────── REGION op comes back ─────────────────────────────┘
 */
enum nvme_stretch_state { NVME_NONE, NVME_OPENING, NVME_READY, NVME_ENDING, NVME_SEALING };

struct nvme_stretch {
    enum nvme_stretch_state state;
    struct nvme_op *op; /* REGION; NULL in state NONE */
    struct nvme_format_home home;
    bool begun; /* OPENING: its page is being written */
    uint32_t next_page;
    uint32_t groups; /* under way */
    uint32_t promised; /* records of all groups begun: room is kept for their FOOTER */
    uint32_t records; /* written well */
    uint64_t sequence;
    struct nvme_format_page *footer; /* reserved for the most that fit, and an END */
    struct nvme_io io;
};

/* Memory for transfers. */
struct nvme_staging {
    char *memory; /* owned */
    uint64_t bytes;
    uint64_t buffer_bytes; /* of each: an encoded block, and as much scratch if the rules need it */
    uint64_t scratch_offset; /* in a buffer */
    void *buffer_free; /* the first word of a free one is the next */
    struct nvme_format_page *part_free; /* likewise */
    char *recover; /* NVME_WORKER_RECOVER_BYTES */
    struct nvme_format_page *page; /* for the thread's own use: probes */
    struct nvme_format_page *group; /* NVME_WORKER_GROUPS of them */
};

enum nvme_recover_state {
    NVME_RECOVER_IDLE, /* not asked yet, or over */
    NVME_RECOVER_HEADERS, /* reading the page of each region */
    NVME_RECOVER_END, /* reading the END page of one */
    NVME_RECOVER_FOOTERS,
    NVME_RECOVER_INDEX /* walking the groups of one that was not sealed */
};

struct nvme_recover {
    enum nvme_recover_state state;
    struct nvme_op *headers;
    struct nvme_queue empty; /* FOUND ops that we may fill */
    uint32_t *order; /* regions, the newest first; owned */
    uint32_t count; /* of them */
    uint32_t at; /* region, or place in `order` */
    uint32_t page; /* of the region: the next to read */
    uint32_t pages; /* FOOTER pages left */
    uint32_t read_pages; /* FOOTER pages in memory, and how many of them were handled */
    uint32_t read_at;
    uint64_t sequence; /* that the next INDEX must have */
    bool waiting; /* a transfer is under way */
    uint64_t foreign; /* records sealed with another key, or not as ours are */
    struct nvme_io io;
};

struct nvme_worker {
    struct nvme_thread_options options;
    struct nvme_channel *channel;
    struct disk *disk;
    struct nvme_staging staging;
    uint32_t region_pages;
    uint32_t reads; /* transfers under way */
    uint32_t loads; /* LOAD ops begun */
    uint32_t writes;
    uint64_t write_bytes; /* of those */
    uint64_t begun_bytes; /* begun, and not handed over yet */
    struct nvme_queue urgent; /* LOAD */
    struct nvme_queue ahead; /* LOAD */
    struct nvme_queue stores;
    struct nvme_queue moves; /* read, ready to be written */
    struct nvme_queue moves_new; /* not read yet */
    uint32_t written; /* stores and moves that were put into groups */
    uint32_t moving; /* MOVE ops between the two */
    struct nvme_group group[NVME_WORKER_GROUPS];
    struct nvme_stretch stretch[NVME_WORKER_STRETCHES];
    struct nvme_recover recover;
    bool answered; /* something was put that the front cannot see yet */
    uint64_t reaped_bytes; /* finished since the front was shown answers */
    struct nvme_queue notes; /* NOTE ops that we may fill */
    struct nvme_op *stop; /* NULL: nobody asked us to end */
    uint32_t errors_in_row;
    bool down;
    bool gone; /* the file is not what we opened: down until a restart */
    bool probing;
    uint64_t probe_ns; /* when the next one may begin */
    uint64_t probe_gap_ns;
    uint64_t look_ns; /* when to look at the file next */
    struct nvme_io probe_io;
    /* handshake with nvme_thread_start() */
    pthread_mutex_t lock;
    pthread_cond_t ready;
    int started; /* STATUS_PENDING, then how it went */
    char why[512];
};

/* Queues of ops. */
void nvme_thread_push(struct nvme_queue *queue, struct nvme_op *op);
struct nvme_op *nvme_thread_pop(struct nvme_queue *queue);

/* Begin a transfer; `io` has its owner and its `done`. */
void nvme_thread_begin(struct nvme_worker *worker, struct nvme_io *io, enum disk_kind kind,
    uint64_t offset, void *data, uint64_t bytes);

/* Hand over what was begun, if it is enough to be worth a system call before the next wait. */
void nvme_thread_submit(struct nvme_worker *worker);

/* Give an op back. */
void nvme_thread_answer(struct nvme_worker *worker, struct nvme_op *op, int status);

/* Tell the front a sentence for people; lost if it did not read the last ones yet. */
__attribute__((format(printf, 2, 3))) void nvme_thread_note(
    struct nvme_worker *worker, const char *format, ...);

/* Returns 0 or STATUS_NO_MEMORY. */
int nvme_staging_open(struct nvme_worker *worker);
void nvme_staging_close(struct nvme_worker *worker);
void *nvme_staging_take(struct nvme_worker *worker); /* NULL: all are in use */
void nvme_staging_drop(struct nvme_worker *worker, void *buffer);
void *nvme_staging_scratch(const struct nvme_worker *worker, void *buffer);

/* Now and then: look at the file, ask a disk that failed, pass on what the engine has to say. */
void nvme_watch_step(struct nvme_worker *worker, uint64_t now_ns);

/* A transfer failed: count it, say it, go down if it is one too many. */
void nvme_watch_failed(struct nvme_worker *worker, const struct disk_op *op);

/* Begin what can be begun. */
void nvme_read_step(struct nvme_worker *worker);
void nvme_write_step(struct nvme_worker *worker);
void nvme_recover_step(struct nvme_worker *worker);

/* Answer all ops of a queue that was not begun. */
void nvme_group_fail(struct nvme_worker *worker, struct nvme_queue *queue, int status);

/* Begin the groups that can be begun. */
void nvme_group_step(struct nvme_worker *worker);

/* Returns 0 or STATUS_NO_MEMORY. */
int nvme_write_open(struct nvme_worker *worker);
void nvme_write_close(struct nvme_worker *worker);

/* A free region came. */
void nvme_write_region(struct nvme_worker *worker, struct nvme_op *op);

/* At the end: give regions back, sealed or as they are. True: it is done, no group is under way. */
bool nvme_write_over(struct nvme_worker *worker, bool seal);

#endif
