/* nvme_ask: store, load and drop. See nvme.h and tier.h. No call waits, or makes a system call but
 * the bell of a thread that sleeps. */
#include "sidecar/tier/nvme.h"

#include "shm/status.h"
#include "sidecar/moment.h"

#include <assert.h>

struct nvme_op *nvme_ask_take(struct nvme_dir *dir)
{
    struct nvme_op *op = dir->op_free;
    if (op != NULL) {
        dir->op_free = op->next;
    }
    return op;
}

void nvme_ask_drop(struct nvme_dir *dir, struct nvme_op *op)
{
    op->next = dir->op_free;
    dir->op_free = op;
}

void nvme_ask_read(struct nvme *nvme, uint32_t entry, struct nvme_op *op)
{
    const struct catalog_entry *about = &nvme->catalog.entries[entry];
    catalog_header(&nvme->catalog, entry, &op->header);
    op->header.key_check = about->sealed ? nvme->seal.check : 0;
    op->place = (struct catalog_place){.region = about->region,
        .page = about->page,
        .back = about->back,
        .directory = about->directory};
    op->entry = entry;
    op->use = about->use;
    op->region = about->region;
    nvme->dir[about->directory].regions.region[about->region].reads++;
}

void nvme_ask_forget(struct nvme *nvme, uint32_t entry)
{
    const struct catalog_entry *about = &nvme->catalog.entries[entry];
    if (about->state == CATALOG_HELD) {
        struct nvme_dir *dir = &nvme->dir[about->directory];
        if (dir->cursor == entry) {
            dir->cursor = about->older;
        }
        region_unlink(&dir->regions, &nvme->catalog, entry);
    }
    catalog_remove(&nvme->catalog, entry);
}

/* The directory with the least to write, that works and has room. */
static struct nvme_dir *choose(struct nvme *nvme, bool *out_down)
{
    struct nvme_dir *best = NULL;
    bool down = true;
    for (uint32_t i = 0; i < nvme->dirs; i++) {
        struct nvme_dir *dir = &nvme->dir[(nvme->turn + i) % nvme->dirs];
        if (nvme_is_down(dir)) {
            continue;
        }
        down = false;
        if (dir->op_free != NULL && dir->stores < NVME_STORES &&
            (best == NULL || dir->stores < best->stores)) {
            best = dir;
        }
    }
    nvme->turn++;
    *out_down = down;
    return best;
}

int nvme_ask_store(struct tier *tier, const struct tier_block *block, uint64_t cookie)
{
    struct nvme *nvme = (struct nvme *)tier;
    assert(block->bytes > 0 && (uintptr_t)block->data % NVME_FORMAT_PAGE == 0);
    if (block->bytes > nvme->block_bytes_most) {
        return STATUS_TOO_LARGE;
    }
    uint32_t entry = catalog_find(&nvme->catalog, &block->id);
    if (entry != CATALOG_NONE) {
        const struct catalog_entry *about = &nvme->catalog.entries[entry];
        if (about->state == CATALOG_WRITING) {
            return STATUS_BUSY;
        }
        if (!nvme_is_down(&nvme->dir[about->directory])) {
            return STATUS_OK;
        }
        nvme_ask_forget(nvme, entry); /* its disk may never come back */
    }
    bool down;
    struct nvme_dir *dir = choose(nvme, &down);
    if (dir == NULL) {
        nvme->count.refused++;
        return down ? STATUS_IO : STATUS_BUSY;
    }
    if (!budget_allows(&nvme->budget, moment_ns())) {
        nvme->count.over_budget++;
        return STATUS_LIMIT;
    }
    entry =
        catalog_add(&nvme->catalog, &block->id, (uint8_t)block->shape.type, block->shape.channels);
    if (entry == CATALOG_NONE) {
        nvme->count.refused++;
        return STATUS_LIMIT;
    }
    struct nvme_op *op = nvme_ask_take(dir);
    op->kind = NVME_OP_STORE;
    op->cookie = cookie;
    op->block = *block;
    op->entry = entry;
    op->use = nvme->catalog.entries[entry].use;
    op->promised_bytes = block->bytes;
    budget_take(&nvme->budget, (int64_t)block->bytes);
    dir->stores++;
    nvme_channel_ask(dir->channel, op);
    return STATUS_PENDING;
}

int nvme_ask_load(struct tier *tier, const struct tier_wish *wish, uint64_t cookie)
{
    struct nvme *nvme = (struct nvme *)tier;
    assert((uintptr_t)wish->out_data % NVME_FORMAT_PAGE == 0 && wish->room % NVME_FORMAT_PAGE == 0);
    uint32_t entry = catalog_find(&nvme->catalog, &wish->id);
    if (entry == CATALOG_NONE) {
        return STATUS_MISS;
    }
    const struct catalog_entry *about = &nvme->catalog.entries[entry];
    if (about->state == CATALOG_WRITING) {
        return STATUS_BUSY;
    }
    if (wish->room < about->raw_bytes) {
        return STATUS_TOO_LARGE;
    }
    struct nvme_dir *dir = &nvme->dir[about->directory];
    if (nvme_is_down(dir)) {
        return STATUS_IO;
    }
    struct nvme_op *op = nvme_ask_take(dir);
    if (op == NULL) {
        return STATUS_BUSY;
    }
    op->kind = NVME_OP_LOAD;
    op->cookie = cookie;
    op->begun_ns = moment_ns();
    op->late = false;
    op->wish = *wish;
    if (op->wish.part_bytes > about->raw_bytes) {
        op->wish.part_bytes = about->raw_bytes;
    }
    nvme_ask_read(nvme, entry, op);
    nvme_channel_ask(dir->channel, op);
    return STATUS_PENDING;
}

void nvme_ask_drop_block(struct tier *tier, const struct tier_id *id)
{
    struct nvme *nvme = (struct nvme *)tier;
    uint32_t entry = catalog_find(&nvme->catalog, id);
    if (entry != CATALOG_NONE) {
        nvme_ask_forget(nvme, entry);
    }
}
