/* nvme_write: regions that we write are opened and sealed here; blocks that move are read. See
 * nvme_worker.h.
 *
 * Always: the page of a region, with its new generation, is durable before anything else is written
 * there; its FOOTER names only records whose bytes the device has acknowledged.
 */
#include "sidecar/tier/nvme_worker.h"

#include "shm/status.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define MOVE_BUFFERS 4u /* of those that stores and loads may need, if they are coded */

/* FOOTER pages of a region full of the smallest records, and an END page. */
static uint64_t footer_bytes(const struct nvme_worker *worker)
{
    return ((uint64_t)worker->region_pages / NVME_FORMAT_RECORDS + 2) * NVME_FORMAT_PAGE;
}

int nvme_write_open(struct nvme_worker *worker)
{
    for (uint32_t i = 0; i < NVME_WORKER_GROUPS; i++) {
        worker->group[i].index = &worker->staging.group[i];
    }
    for (uint32_t i = 0; i < NVME_WORKER_STRETCHES; i++) {
        void *memory = mmap(NULL, footer_bytes(worker), PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            return STATUS_NO_MEMORY;
        }
        worker->stretch[i].footer = memory;
    }
    return STATUS_OK;
}

void nvme_write_close(struct nvme_worker *worker)
{
    for (uint32_t i = 0; i < NVME_WORKER_STRETCHES; i++) {
        if (worker->stretch[i].footer != NULL) {
            (void)munmap(worker->stretch[i].footer, footer_bytes(worker));
        }
    }
}

static void give_back(struct nvme_worker *worker, struct nvme_stretch *stretch, int status)
{
    struct nvme_op *op = stretch->op;
    op->device_bytes = (2 + (uint64_t)nvme_format_footers(stretch->records)) * NVME_FORMAT_PAGE;
    stretch->op = NULL;
    stretch->state = NVME_NONE;
    nvme_thread_answer(worker, op, status);
}

static void opened(struct nvme_worker *worker, struct nvme_io *io)
{
    struct nvme_stretch *stretch = io->owner;
    if (io->disk.result != 0) {
        give_back(worker, stretch, STATUS_IO);
    } else {
        stretch->state = NVME_READY;
    }
}

static void open_stretch(struct nvme_worker *worker, struct nvme_stretch *stretch)
{
    struct nvme_format_page *page = stretch->footer; /* not needed for FOOTER pages yet */
    nvme_format_begin(page, NVME_FORMAT_REGION, &stretch->home);
    nvme_format_finish(page);
    stretch->begun = true;
    stretch->io.owner = stretch;
    stretch->io.done = opened;
    nvme_thread_begin(worker, &stretch->io, DISK_WRITE_THROUGH,
        nvme_format_offset(stretch->home.region_bytes, stretch->home.region, 0), page,
        NVME_FORMAT_PAGE);
}

void nvme_write_region(struct nvme_worker *worker, struct nvme_op *op)
{
    uint32_t at = worker->stretch[0].state == NVME_NONE ? 0 : 1;
    struct nvme_stretch *stretch = &worker->stretch[at];
    assert(stretch->state == NVME_NONE);
    stretch->state = NVME_OPENING;
    stretch->op = op;
    stretch->home = (struct nvme_format_home){.region_bytes = worker->options.file->region_bytes,
        .generation = op->generation,
        .region = op->place.region};
    memcpy(stretch->home.uuid, worker->options.file->uuid, sizeof stretch->home.uuid);
    stretch->begun = false;
    stretch->next_page = 1;
    stretch->promised = 0;
    stretch->records = 0;
    stretch->sequence = 0;
}

static void synced(struct nvme_worker *worker, struct nvme_io *io)
{
    give_back(worker, io->owner, io->disk.result == 0 ? STATUS_OK : STATUS_IO);
}

static void footer_written(struct nvme_worker *worker, struct nvme_io *io)
{
    if (io->disk.result != 0) {
        give_back(worker, io->owner, STATUS_IO); /* a restart will walk its groups */
        return;
    }
    io->done = synced;
    nvme_thread_begin(worker, io, DISK_SYNC, 0, NULL, 0);
}

static void seal(struct nvme_worker *worker, struct nvme_stretch *stretch)
{
    uint32_t pages = nvme_format_footers(stretch->records);
    if (pages == 0) {
        give_back(worker, stretch, STATUS_OK);
        return;
    }
    for (uint32_t i = 0; i < pages; i++) {
        nvme_format_finish(&stretch->footer[i]);
    }
    struct nvme_format_page *end = &stretch->footer[pages];
    nvme_format_begin(end, NVME_FORMAT_END, &stretch->home);
    end->sequence = pages;
    end->count = stretch->records;
    nvme_format_finish(end);
    stretch->state = NVME_SEALING;
    stretch->io.owner = stretch;
    stretch->io.done = footer_written;
    nvme_thread_begin(worker, &stretch->io, DISK_WRITE,
        nvme_format_offset(
            stretch->home.region_bytes, stretch->home.region, worker->region_pages - 1 - pages),
        stretch->footer, (uint64_t)(pages + 1) * NVME_FORMAT_PAGE);
}

/* A block to move was read: is it what the catalog speaks of, and whole? Sealed and coded ones go
 * as they are: whoever loads them verifies them. */
static bool is_whole(struct nvme_op *op)
{
    const struct nvme_format_page *index = op->index;
    const struct record_root root = op->header.root;
    for (uint32_t i = 0; i < NVME_FORMAT_RECORDS; i++) {
        if (index->place[i].page == op->place.page) {
            if (record_check(&index->record[i], &op->wish.id, &op->header) != STATUS_OK ||
                memcmp(&op->header.root, &root, sizeof root) != 0) {
                return false;
            }
            int status = record_verify_first(&op->header, op->buffer, op->header.stored_bytes);
            return status == STATUS_OK || status == STATUS_UNSUPPORTED;
        }
    }
    return false;
}

static void move_read(struct nvme_worker *worker, struct nvme_io *io)
{
    struct nvme_op *op = io->owner;
    if (--op->waiting > 0) {
        return;
    }
    worker->moving--;
    int status = STATUS_OK;
    if (op->io[0].disk.result != 0 || op->io[1].disk.result != 0) {
        status = STATUS_IO;
    } else if (!is_whole(op)) {
        status = STATUS_MALFORMED;
    }
    *(void **)op->index = worker->staging.part_free;
    worker->staging.part_free = op->index;
    op->index = NULL;
    if (status == STATUS_OK) {
        op->payload = op->buffer;
        nvme_thread_push(&worker->moves, op);
        return;
    }
    nvme_staging_drop(worker, op->buffer);
    op->buffer = NULL;
    nvme_thread_answer(worker, op, status);
}

static void read_moves(struct nvme_worker *worker)
{
    while (worker->moves_new.first != NULL && worker->staging.part_free != NULL &&
           worker->moves.count + worker->moving < MOVE_BUFFERS) {
        void *buffer = nvme_staging_take(worker);
        if (buffer == NULL) {
            return;
        }
        struct nvme_op *op = nvme_thread_pop(&worker->moves_new);
        uint64_t region_bytes = worker->options.file->region_bytes;
        op->buffer = buffer;
        op->index = worker->staging.part_free;
        worker->staging.part_free = *(void **)op->index;
        op->pages = nvme_format_pages(op->header.stored_bytes);
        op->waiting = 2;
        worker->moving++;
        for (uint32_t i = 0; i < 2; i++) {
            op->io[i].owner = op;
            op->io[i].done = move_read;
        }
        nvme_thread_begin(worker, &op->io[0], DISK_READ,
            nvme_format_offset(region_bytes, op->place.region, op->place.page - op->place.back),
            op->index, NVME_FORMAT_PAGE);
        nvme_thread_begin(worker, &op->io[1], DISK_READ,
            nvme_format_offset(region_bytes, op->place.region, op->place.page), buffer,
            (uint64_t)op->pages * NVME_FORMAT_PAGE);
    }
}

void nvme_write_step(struct nvme_worker *worker)
{
    bool none = true;
    for (uint32_t i = 0; i < NVME_WORKER_STRETCHES; i++) {
        const enum nvme_stretch_state state = worker->stretch[i].state;
        none = none && state != NVME_OPENING && state != NVME_READY;
    }
    if (worker->down) {
        nvme_group_fail(worker, &worker->stores, STATUS_IO);
    }
    /* A region is given up only when its moves are over: they must not wait for one. */
    if (none || worker->down) {
        nvme_group_fail(worker, &worker->moves, STATUS_LIMIT);
        nvme_group_fail(worker, &worker->moves_new, STATUS_LIMIT);
    }
    if (none && worker->stop != NULL) {
        nvme_group_fail(worker, &worker->stores, STATUS_BUSY); /* no region will come any more */
    }
    read_moves(worker);
    nvme_group_step(worker);
    for (uint32_t i = 0; i < NVME_WORKER_STRETCHES; i++) {
        struct nvme_stretch *stretch = &worker->stretch[i];
        if (stretch->state == NVME_OPENING && !stretch->begun && !worker->down) {
            open_stretch(worker, stretch);
        } else if (stretch->state == NVME_ENDING && stretch->groups == 0) {
            seal(worker, stretch);
        }
    }
}

bool nvme_write_over(struct nvme_worker *worker, bool seal_them)
{
    bool over = true;
    for (uint32_t i = 0; i < NVME_WORKER_STRETCHES; i++) {
        struct nvme_stretch *stretch = &worker->stretch[i];
        if (stretch->state == NVME_OPENING && !stretch->begun) {
            give_back(worker, stretch, STATUS_IO);
        } else if (stretch->state == NVME_READY && stretch->groups == 0) {
            stretch->state = NVME_ENDING;
        }
        if (stretch->state == NVME_ENDING && stretch->groups == 0) {
            if (seal_them) {
                seal(worker, stretch);
            } else {
                give_back(worker, stretch, STATUS_LIMIT);
            }
        }
        over = over && stretch->state == NVME_NONE;
    }
    return over;
}
