/* nvme_group: stores and moves, gathered into groups and appended to the open region. See
 * nvme_worker.h and nvme_format.h.
 *
 * A group takes what waits at the moment: a lone block is not held back, and while the device is
 * busy the next group grows. Its INDEX page and payloads are neighbours on disk and are handed over
 * together. Payloads of raw blocks are written from where they lie.
 */
#include "sidecar/tier/nvme_worker.h"

#include "shm/status.h"

#include <assert.h>

#define GROUP_BYTES (UINT32_C(1) << 20) /* a group this large takes no more */
#define UNDER_WAY_BYTES (UINT64_C(16) << 20) /* more would only make reads wait */
#define MOVE_PART 4u
#define YIELD 4u /* while somebody loads, writes have this part of the depth */

static struct nvme_stretch *current_stretch(struct nvme_worker *worker)
{
    struct nvme_stretch *best = NULL;
    for (uint32_t i = 0; i < NVME_WORKER_STRETCHES; i++) {
        struct nvme_stretch *stretch = &worker->stretch[i];
        if (stretch->state == NVME_READY &&
            (best == NULL || stretch->home.generation < best->home.generation)) {
            best = stretch;
        }
    }
    return best;
}

static void end_op(struct nvme_worker *worker, struct nvme_op *op, int status)
{
    nvme_staging_drop(worker, op->buffer);
    op->buffer = NULL;
    op->payload = NULL;
    nvme_thread_answer(worker, op, status);
}

/* Encode a block, once. Returns false if it has to wait for a buffer. */
static bool prepare(struct nvme_worker *worker, struct nvme_op *op)
{
    const struct record_rules *rules = &worker->options.rules;
    if (op->payload != NULL) {
        return true;
    }
    assert(op->kind == NVME_OP_STORE);
    if (record_scratch_bytes(rules, op->block.bytes) > 0) {
        op->buffer = nvme_staging_take(worker);
        if (op->buffer == NULL) {
            return false;
        }
    }
    op->status =
        record_encode(rules, &op->block, op->buffer, &op->header, &op->payload, &op->error);
    op->pages = op->status == STATUS_OK ? nvme_format_pages(op->header.stored_bytes) : 0;
    return true;
}

static bool fits(
    const struct nvme_worker *worker, const struct nvme_group *group, const struct nvme_op *op)
{
    const struct nvme_stretch *stretch = group->stretch;
    uint32_t footers = nvme_format_footers(stretch->promised + group->count + 1);
    return (uint64_t)stretch->next_page + group->pages + op->pages + footers + 1 <=
           worker->region_pages;
}

static void append_footer(struct nvme_stretch *stretch, const struct nvme_op *op)
{
    struct nvme_format_place place = {.page = op->place.page, .back = op->place.back};
    uint32_t at = stretch->records / NVME_FORMAT_RECORDS;
    if (stretch->records % NVME_FORMAT_RECORDS == 0) {
        nvme_format_begin(&stretch->footer[at], NVME_FORMAT_FOOTER, &stretch->home);
        stretch->footer[at].sequence = at;
    }
    nvme_format_add(&stretch->footer[at], &op->header, place);
    stretch->records++;
}

static void transfer_done(struct nvme_worker *worker, struct nvme_io *io)
{
    struct nvme_group *group = io->owner;
    struct nvme_stretch *stretch = group->stretch;
    if (io->disk.result != 0) {
        group->result = io->disk.result;
    }
    if (--group->waiting > 0) {
        return;
    }
    stretch->groups--;
    for (uint32_t i = 0; i < group->count; i++) {
        struct nvme_op *op = group->op[i];
        op->device_bytes = ((uint64_t)op->pages + 1) * NVME_FORMAT_PAGE;
        if (group->result == 0) {
            append_footer(stretch, op);
        }
        end_op(worker, op, group->result == 0 ? STATUS_OK : STATUS_IO);
    }
    if (group->result != 0 && stretch->state == NVME_READY) {
        /* A walk over the groups would stop here: close it, so that a footer names the others. */
        stretch->state = NVME_ENDING;
    }
}

/* All that the group needs is known: write its INDEX page, and hand all of it over. */
static void begin_group(struct nvme_worker *worker, struct nvme_group *group)
{
    struct nvme_stretch *stretch = group->stretch;
    uint32_t page = stretch->next_page + 1;
    nvme_format_begin(group->index, NVME_FORMAT_INDEX, &stretch->home);
    for (uint32_t i = 0; i < group->count; i++) {
        struct nvme_op *op = group->op[i];
        op->place = (struct catalog_place){.region = stretch->home.region,
            .page = page,
            .back = (uint16_t)(page - stretch->next_page)};
        nvme_format_add(group->index, &op->header,
            (struct nvme_format_place){.page = page, .back = page - stretch->next_page});
        page += op->pages;
    }
    group->index->sequence = stretch->sequence++;
    group->index->next_page = page;
    nvme_format_finish(group->index);
    group->waiting = group->count + 1;
    group->result = 0;
    uint64_t region_bytes = stretch->home.region_bytes;
    group->index_io.owner = group;
    group->index_io.done = transfer_done;
    nvme_thread_begin(worker, &group->index_io, DISK_WRITE,
        nvme_format_offset(region_bytes, stretch->home.region, stretch->next_page), group->index,
        NVME_FORMAT_PAGE);
    for (uint32_t i = 0; i < group->count; i++) {
        struct nvme_op *op = group->op[i];
        op->io[0].owner = group;
        op->io[0].done = transfer_done;
        union { /* a write only reads it */
            const void *given;
            void *taken;
        } payload = {.given = op->payload};
        nvme_thread_begin(worker, &op->io[0], DISK_WRITE,
            nvme_format_offset(region_bytes, stretch->home.region, op->place.page), payload.taken,
            (uint64_t)op->pages * NVME_FORMAT_PAGE);
    }
    stretch->next_page = page;
    stretch->promised += group->count;
    stretch->groups++;
}

static struct nvme_group *free_group(struct nvme_worker *worker)
{
    for (uint32_t i = 0; i < NVME_WORKER_GROUPS; i++) {
        if (worker->group[i].waiting == 0) {
            return &worker->group[i];
        }
    }
    return NULL;
}

/* Where the next op to write waits. Stores go first; every fourth is a move, because at most a
 * quarter of a region moves, and the region that they leave is needed when this one is full. */
static struct nvme_queue *next_queue(struct nvme_worker *worker)
{
    bool move = worker->stores.first == NULL ||
                (worker->moves.first != NULL && worker->written % MOVE_PART == MOVE_PART - 1);
    return move ? &worker->moves : &worker->stores;
}

static bool may_begin(const struct nvme_worker *worker)
{
    /* INDEX pages are no load for the device: a depth of them would leave it half idle. */
    uint32_t groups = 0;
    for (uint32_t i = 0; i < NVME_WORKER_STRETCHES; i++) {
        groups += worker->stretch[i].groups;
    }
    uint32_t writes = worker->writes > groups ? worker->writes - groups : 0;
    bool loading = worker->loads > 0 || worker->urgent.first != NULL || worker->ahead.first != NULL;
    uint32_t depth = loading ? (worker->options.depth + YIELD - 1) / YIELD : worker->options.depth;
    uint32_t waiting = worker->stores.count + worker->moves.count;
    if (waiting == 0 ||
        (worker->writes > 0 && (writes >= depth || worker->write_bytes >= UNDER_WAY_BYTES))) {
        return false;
    }
    /* The device is busy, and a larger group costs it less: let it grow. */
    const struct nvme_op *first = worker->stores.first;
    bool large = first != NULL && waiting * first->block.bytes >= GROUP_BYTES / 2;
    return worker->writes == 0 || large || waiting >= NVME_FORMAT_RECORDS;
}

void nvme_group_step(struct nvme_worker *worker)
{
    while (may_begin(worker)) {
        struct nvme_group *group = free_group(worker);
        struct nvme_stretch *stretch = current_stretch(worker);
        if (group == NULL || stretch == NULL) {
            return;
        }
        group->stretch = stretch;
        group->count = 0;
        group->pages = 1;
        bool full = false;
        while (
            group->count < NVME_FORMAT_RECORDS && group->pages < GROUP_BYTES / NVME_FORMAT_PAGE) {
            struct nvme_queue *queue = next_queue(worker);
            if (queue->first != NULL && !prepare(worker, queue->first)) {
                queue = &worker->moves; /* they have the buffers: they must not wait for stores */
            }
            struct nvme_op *op = queue->first;
            if (op == NULL) {
                break;
            }
            if (op->payload == NULL) {
                end_op(worker, nvme_thread_pop(queue), op->status);
                continue;
            }
            full = !fits(worker, group, op);
            if (full) {
                break;
            }
            group->op[group->count++] = nvme_thread_pop(queue);
            group->pages += op->pages;
            worker->written++;
        }
        if (group->count > 0) {
            begin_group(worker, group);
            nvme_thread_submit(worker);
        }
        if (full) {
            stretch->state = NVME_ENDING;
        } else if (group->count == 0) {
            return;
        }
    }
}

void nvme_group_fail(struct nvme_worker *worker, struct nvme_queue *queue, int status)
{
    while (queue->first != NULL) {
        end_op(worker, nvme_thread_pop(queue), status);
    }
}
