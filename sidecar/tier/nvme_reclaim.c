/* nvme_reclaim: regions are lent to the I/O thread, and won back when none is free. See nvme.h.
 *
 * A region that holds little (drops, short lives) goes first, and all that it holds is written
 * once more. Else the base is first in, first out; of the oldest few the one goes whose blocks were
 * loaded least. Blocks that were loaded since they were written are written once more, up to a
 * quarter of the region; the others are lost. A step looks at a bounded number of blocks, so the
 * loop never stalls.
 */
#include "sidecar/tier/nvme.h"

#include "shm/status.h"

#include <assert.h>

#define STEP_BLOCKS 64u
#define PATIENCE_NS UINT64_C(2000000000)
#define SPARSE_PART 8u /* of a region at most this part is held: it is cheap to empty */
#define SPARE_REGIONS 8u
#define KEEP_PART 4u /* of a region at most this part is kept */

static void lend(struct nvme_dir *dir)
{
    while (dir->ready && dir->region_free != NULL && !nvme_is_down(dir)) {
        uint32_t number = region_lend(&dir->regions);
        if (number == REGION_NONE) {
            return;
        }
        struct nvme_op *op = dir->region_free;
        dir->region_free = op->next;
        op->place = (struct catalog_place){.region = number};
        op->generation = dir->regions.region[number].generation;
        nvme_channel_ask(dir->channel, op);
    }
}

/* Worth another write? Then it is on its way. */
static bool keep(struct nvme *nvme, struct nvme_dir *dir, uint32_t entry, uint64_t now_ns)
{
    struct catalog_entry *about = &nvme->catalog.entries[entry];
    uint64_t bytes = (uint64_t)nvme_format_pages(about->stored_bytes) * NVME_FORMAT_PAGE;
    if ((about->hits == 0 && !dir->sparse) || dir->op_free == NULL || nvme_is_down(dir) ||
        dir->moved_bytes + bytes > nvme->region_bytes / KEEP_PART ||
        !budget_allows(&nvme->budget, now_ns)) {
        return false;
    }
    struct nvme_op *op = nvme_ask_take(dir);
    op->kind = NVME_OP_MOVE;
    catalog_id(&nvme->catalog, entry, &op->wish.id);
    nvme_ask_read(nvme, entry, op);
    about->moving = 1;
    dir->moved_bytes += bytes;
    dir->moves++;
    nvme_channel_ask(dir->channel, op);
    return true;
}

/* Is it time to look for a region to give up? What an earlier life left is waited for, else the
 * wrong one could go; but not for long when there is nothing to write to. */
static bool is_due(const struct nvme_dir *dir, uint64_t now_ns)
{
    bool known = dir->pages_over == NVME_PAGES;
    bool pressed =
        dir->stores > 0 && dir->regions.open == 0 && now_ns > dir->opened_ns + PATIENCE_NS;
    return dir->leaving == REGION_NONE && dir->ready && dir->regions.free == 0 &&
           (known || pressed);
}

static void begin(const struct nvme *nvme, struct nvme_dir *dir)
{
    /* Before it is known what they hold all seem empty: then age decides. While none is open there
     * is nowhere to keep blocks: then only one that holds nothing goes before its time. */
    uint64_t sparse = 0;
    if (dir->pages_over == NVME_PAGES) {
        sparse = dir->regions.open > 0 ? nvme->region_bytes / SPARSE_PART : 1;
    }
    /* One more than those lent is kept free, so that moves have where to go while stores go on; in
     * a file of few regions, where it is a large part of all, only if nothing is lost for it. */
    bool must = dir->regions.count >= SPARE_REGIONS || dir->regions.open < NVME_LENT;
    dir->leaving = region_victim(&dir->regions, sparse, must);
    dir->moved_bytes = 0;
    dir->cursor = CATALOG_NONE;
    if (dir->leaving != REGION_NONE) {
        const struct region *region = &dir->regions.region[dir->leaving];
        dir->sparse = region->bytes < sparse;
        dir->cursor = region->newest;
    }
}

uint32_t nvme_reclaim_step(struct nvme *nvme, struct nvme_dir *dir, uint64_t now_ns,
    struct tier_done *out_done, uint32_t room, bool *out_more)
{
    uint32_t count = 0;
    lend(dir);
    if (is_due(dir, now_ns)) {
        begin(nvme, dir);
    }
    uint32_t looked = 0;
    while (dir->cursor != CATALOG_NONE && looked < STEP_BLOCKS && count < room) {
        uint32_t entry = dir->cursor;
        struct catalog_entry *about = &nvme->catalog.entries[entry];
        if ((about->hits > 0 || dir->sparse) && dir->moves >= NVME_MOVES) {
            break; /* goes on when one of them is over */
        }
        looked++;
        dir->cursor = about->older;
        if (about->moving || keep(nvme, dir, entry, now_ns)) {
            continue;
        }
        out_done[count] = (struct tier_done){.event = TIER_LOST, .status = STATUS_OK};
        catalog_id(&nvme->catalog, entry, &out_done[count].id);
        count++;
        nvme->count.dropped++;
        nvme_ask_forget(nvme, entry);
    }
    if (dir->leaving != REGION_NONE && dir->cursor == CATALOG_NONE) {
        const struct region *region = &dir->regions.region[dir->leaving];
        if (region->blocks == 0 && region->reads == 0) {
            region_free(&dir->regions, dir->leaving);
            dir->leaving = REGION_NONE;
            lend(dir);
        }
    }
    *out_more = dir->cursor != CATALOG_NONE && dir->moves < NVME_MOVES;
    return count;
}

bool nvme_reclaim_moved(struct nvme *nvme, struct nvme_dir *dir, struct nvme_op *op)
{
    dir->moves--;
    dir->regions.region[op->region].reads--;
    budget_take(&nvme->budget, (int64_t)op->device_bytes);
    if (!nvme_is_same(nvme, op)) {
        return false; /* dropped meanwhile */
    }
    struct catalog_entry *about = &nvme->catalog.entries[op->entry];
    assert(about->state == CATALOG_HELD && about->moving && about->region == op->region);
    about->moving = 0;
    if (op->status != STATUS_OK) {
        nvme->count.dropped++;
        dir->corrupt += op->status == STATUS_MALFORMED;
        nvme_ask_forget(nvme, op->entry);
        return true;
    }
    region_unlink(&dir->regions, &nvme->catalog, op->entry);
    catalog_place(&nvme->catalog, op->entry, &op->header, &op->place);
    region_link(&dir->regions, &nvme->catalog, op->entry);
    nvme->count.reinserted++;
    return false;
}
