/* nvme_read: loads. Payload into the caller's memory, verified before it is handed over.
 *
 * Urgent ones first; a load that is not begun by its deadline is a miss. Raw blocks are read in
 * place; coded or sealed ones through a buffer. If the first part is wanted before the rest, its
 * checksums are in the INDEX page of the group: that and the part are read first, then the rest;
 * the root is checked over all of it in any case.
 */
#include "sidecar/tier/nvme_worker.h"

#include "shm/status.h"
#include "sidecar/moment.h"

#include <string.h>

static uint64_t offset_of(const struct nvme_worker *worker, const struct nvme_op *op, uint32_t page)
{
    return nvme_format_offset(worker->options.file->region_bytes, op->place.region, page);
}

static bool is_plain(const struct nvme_op *op)
{
    return op->header.codec == CODEC_RAW && (op->header.flags & RECORD_SEALED) == 0;
}

static void finish(struct nvme_worker *worker, struct nvme_op *op, int status)
{
    if (op->index != NULL) {
        *(void **)op->index = worker->staging.part_free;
        worker->staging.part_free = op->index;
        op->index = NULL;
    }
    nvme_staging_drop(worker, op->buffer);
    op->buffer = NULL;
    worker->loads--;
    nvme_thread_answer(worker, op, status);
}

/* All of the payload is there. */
static void whole_done(struct nvme_worker *worker, struct nvme_io *io)
{
    struct nvme_op *op = io->owner;
    if (io->disk.result != 0) {
        finish(worker, op, STATUS_IO);
        return;
    }
    const void *payload = op->buffer != NULL ? op->buffer : op->wish.out_data;
    void *scratch = op->buffer != NULL ? nvme_staging_scratch(worker, op->buffer) : NULL;
    finish(worker, op,
        record_decode(&worker->options.rules, &op->header, payload, scratch, op->wish.out_data,
            op->wish.room));
}

static void read_whole(struct nvme_worker *worker, struct nvme_op *op)
{
    op->io[0].owner = op;
    op->io[0].done = whole_done;
    nvme_thread_begin(worker, &op->io[0], DISK_READ, offset_of(worker, op, op->place.page),
        op->buffer != NULL ? op->buffer : op->wish.out_data,
        (uint64_t)op->pages * NVME_FORMAT_PAGE);
}

/* The INDEX page has the header that was stored: is it the one that the catalog speaks of? */
static bool find_parts(const struct nvme_op *op, struct record_header *out_header)
{
    for (uint32_t i = 0; i < NVME_FORMAT_RECORDS; i++) {
        if (op->index->place[i].page == op->place.page) {
            return record_check(&op->index->record[i], &op->wish.id, out_header) == STATUS_OK &&
                   memcmp(&out_header->root, &op->header.root, sizeof out_header->root) == 0;
        }
    }
    return false;
}

static void first_done(struct nvme_worker *worker, struct nvme_io *io)
{
    struct nvme_op *op = io->owner;
    struct record_header header;
    if (--op->waiting > 0) {
        return;
    }
    if (op->io[0].disk.result != 0 || op->io[1].disk.result != 0) {
        finish(worker, op, STATUS_IO);
        return;
    }
    /* If anything is odd there is no PART; the root decides about the whole. */
    if (find_parts(op, &header) &&
        record_verify_first(&header, op->wish.out_data, op->wish.part_bytes) == STATUS_OK) {
        worker->answered = true;
        nvme_channel_put(worker->channel, op, true);
    }
    op->io[0].done = whole_done;
    uint64_t bytes = (uint64_t)op->pages * NVME_FORMAT_PAGE;
    nvme_thread_begin(worker, &op->io[0], DISK_READ,
        offset_of(worker, op, op->place.page) + op->first_bytes,
        (char *)op->wish.out_data + op->first_bytes, bytes - op->first_bytes);
}

static void read_first(struct nvme_worker *worker, struct nvme_op *op)
{
    worker->staging.part_free = *(void **)op->index;
    op->waiting = 2;
    for (uint32_t i = 0; i < 2; i++) {
        op->io[i].owner = op;
        op->io[i].done = first_done;
    }
    nvme_thread_begin(worker, &op->io[0], DISK_READ,
        offset_of(worker, op, op->place.page - op->place.back), op->index, NVME_FORMAT_PAGE);
    nvme_thread_begin(worker, &op->io[1], DISK_READ, offset_of(worker, op, op->place.page),
        op->wish.out_data, op->first_bytes);
}

/* Returns false if it has to wait for memory. */
static bool begin(struct nvme_worker *worker, struct nvme_op *op)
{
    op->buffer = NULL;
    op->index = NULL;
    op->pages = nvme_format_pages(op->header.stored_bytes);
    worker->loads++;
    if (worker->down) {
        finish(worker, op, STATUS_IO);
        return true;
    }
    if (moment_ns() > op->wish.deadline_ns) {
        op->late = true;
        finish(worker, op, STATUS_MISS);
        return true;
    }
    if (!is_plain(op)) {
        op->buffer = nvme_staging_take(worker);
        if (op->buffer == NULL) {
            worker->loads--;
            return false;
        }
        read_whole(worker, op);
        return true;
    }
    uint64_t part = record_part_bytes(op->header.stored_bytes);
    op->first_bytes = (op->wish.part_bytes + part - 1) / part * part;
    if (op->wish.part_bytes > 0 && op->first_bytes < op->header.stored_bytes) {
        op->index = worker->staging.part_free;
    }
    if (op->index != NULL) {
        read_first(worker, op);
    } else {
        read_whole(worker, op);
    }
    return true;
}

void nvme_read_step(struct nvme_worker *worker)
{
    struct nvme_queue *queues[] = {&worker->urgent, &worker->ahead};
    for (uint32_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
        while (queues[i]->first != NULL && worker->reads < worker->options.depth) {
            struct nvme_op *op = nvme_thread_pop(queues[i]);
            if (!begin(worker, op)) {
                op->next = queues[i]->first;
                queues[i]->first = op;
                queues[i]->end = op->next == NULL ? &op->next : queues[i]->end;
                queues[i]->count++;
                return;
            }
        }
    }
}
