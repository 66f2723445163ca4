/* nvme: the front of tier_nvme: who it is made of. For tier_nvme and nvme_ask, nvme_answer,
 * nvme_reclaim alone; all of it runs on the server's thread.
 *
 *   tier_nvme     open, close, describe, health
 *   nvme_ask      store, load, drop: what goes to the I/O threads
 *   nvme_answer   poll: what comes back from them
 *   nvme_reclaim  free regions: lent to the I/O threads, and won back
 *
 * Always: an entry of the catalog is in the list of the region that it names if and only if it is
 * HELD; a region's `reads` counts the ops that read it.
 */
#ifndef CISTERN_SIDECAR_TIER_NVME_H
#define CISTERN_SIDECAR_TIER_NVME_H

#include "sidecar/tier/budget.h"
#include "sidecar/tier/catalog.h"
#include "sidecar/tier/nvme_thread.h"
#include "sidecar/tier/region.h"
#include "sidecar/tier/seal.h"
#include "sidecar/tier/tier_nvme.h"

#define NVME_OPS 512u /* LOAD, STORE, MOVE of one directory under way */
#define NVME_STORES 256u /* of these: a burst of spills leaves room for loads */
#define NVME_MOVES 16u
#define NVME_PAGES 4u /* FOUND */
#define NVME_NOTES 4u
#define NVME_LENT 2u /* regions that the I/O thread has: one written, one ahead */
#define NVME_EXTRA (NVME_LENT + NVME_PAGES + NVME_NOTES + 2) /* beside NVME_OPS */

/* One directory. */
struct nvme_dir {
    struct nvme_file file;
    struct nvme_channel *channel;
    struct nvme_thread thread;
    bool running;
    bool ready; /* all generations are known: regions may be lent */
    char engine[512]; /* which was chosen, and why */
    char note[TIER_NOTE]; /* the last thing that went wrong */
    struct regions regions;
    uint64_t *generations;
    struct nvme_op *ops; /* all of them; owned */
    struct nvme_format_page *pages; /* of the FOUND ops; owned */
    struct nvme_op *op_free;
    struct nvme_op *region_free; /* REGION ops at home */
    struct nvme_op *stop;
    struct nvme_op *found; /* a FOUND op that is not handled to its end; NULL: none */
    uint32_t stores; /* under way */
    uint32_t moves;
    uint32_t pages_over; /* FOUND ops that came back empty: all of them, and recovery is over */
    uint64_t found_blocks;
    uint64_t opened_ns;
    uint32_t leaving; /* the region that is being given up, or REGION_NONE */
    uint32_t cursor; /* its next block to decide about, or CATALOG_NONE */
    bool sparse; /* it holds so little that all of it is kept */
    uint64_t moved_bytes; /* of it, kept elsewhere */
    uint64_t corrupt; /* loads and moves that found something else than was stored */
};

struct nvme {
    struct tier tier; /* first */
    struct log *log; /* borrowed */
    struct catalog catalog;
    struct budget budget;
    struct seal seal;
    struct record_rules rules;
    struct nvme_dir dir[TIER_NVME_DIRS];
    uint32_t dirs;
    uint32_t turn; /* directory that is asked first */
    uint64_t region_bytes;
    uint64_t block_bytes_most;
    uint32_t depth;
    int event_fd;
    uint64_t cleared; /* rings of event_fd that were read */
    uint64_t own_rings; /* rings that were ours: events were left for the next poll() */
    bool has_extra;
    struct tier_done extra; /* an event that had no room beside the one it belongs to */
    struct tier_health count; /* the counts of it */
};

/* As tier_nvme_open(), on an engine of the caller's choice; NULL: as the options say. */
int tier_nvme_open_on(const struct tier_nvme_options *options, const struct disk_ops *engine,
    struct tier **out_tier, char *why, size_t why_bytes);

/* An op at home, or NULL; and home again. */
struct nvme_op *nvme_ask_take(struct nvme_dir *dir);
void nvme_ask_drop(struct nvme_dir *dir, struct nvme_op *op);

/* A block of the catalog as a question: its header, its place; its region is read from now on. */
void nvme_ask_read(struct nvme *nvme, uint32_t entry, struct nvme_op *op);

/* Take a block out of its region and the catalog. */
void nvme_ask_forget(struct nvme *nvme, uint32_t entry);

int nvme_ask_store(struct tier *tier, const struct tier_block *block, uint64_t cookie);
int nvme_ask_load(struct tier *tier, const struct tier_wish *wish, uint64_t cookie);
void nvme_ask_drop_block(struct tier *tier, const struct tier_id *id);

uint32_t nvme_answer_poll(
    struct tier *tier, uint64_t now_ns, struct tier_done *out_done, uint32_t room);

/* Lend what is free, give up what must be; a bounded part of it. Writes up to `room` LOST events
 * and returns how many; `*out_more`: there is more to do at once. */
uint32_t nvme_reclaim_step(struct nvme *nvme, struct nvme_dir *dir, uint64_t now_ns,
    struct tier_done *out_done, uint32_t room, bool *out_more);

/* A block that was to be kept was written elsewhere, or not: true: it is lost. */
bool nvme_reclaim_moved(struct nvme *nvme, struct nvme_dir *dir, struct nvme_op *op);

static inline bool nvme_is_down(const struct nvme_dir *dir)
{
    return shared32_load_relaxed(&dir->channel->down) != 0;
}

/* Is the entry still the one that the op was about? */
static inline bool nvme_is_same(const struct nvme *nvme, const struct nvme_op *op)
{
    const struct catalog_entry *entry = &nvme->catalog.entries[op->entry];
    return entry->state != CATALOG_FREE && entry->use == op->use;
}

#endif
