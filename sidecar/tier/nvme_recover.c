/* nvme_recover: what an earlier life left, found in the background, one transfer at a time so that
 * loads and stores hardly notice. See nvme_worker.h and nvme_format.h.
 *
 * First the page of each region, which says its generation: until that is known, nothing may be
 * written. Then the regions, the newest first: of a sealed one its FOOTER, of another one its
 * groups, up to the first that is torn or of an older generation. All of it is foreign bytes. The
 * front sets the pace: we fill the empty FOUND ops that it sends.
 */
#include "sidecar/tier/nvme_worker.h"

#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct nvme_format_home home_of(const struct nvme_worker *worker, uint32_t region)
{
    struct nvme_format_home home = {.region_bytes = worker->options.file->region_bytes,
        .generation = worker->options.generations[region],
        .region = region};
    memcpy(home.uuid, worker->options.file->uuid, sizeof home.uuid);
    return home;
}

static void next_region(struct nvme_recover *recover)
{
    recover->at++;
    recover->state = NVME_RECOVER_END;
}

static void walk(struct nvme_recover *recover)
{
    recover->state = NVME_RECOVER_INDEX;
    recover->page = 1;
    recover->sequence = 0;
    recover->read_pages = 0;
    recover->read_at = 0;
}

static void begin_read(struct nvme_worker *worker, uint32_t region, uint32_t page, uint32_t pages,
    void (*done)(struct nvme_worker *worker, struct nvme_io *io))
{
    struct nvme_recover *recover = &worker->recover;
    assert(!recover->waiting && pages * NVME_FORMAT_PAGE <= NVME_WORKER_RECOVER_BYTES);
    recover->waiting = true;
    recover->io.done = done;
    nvme_thread_begin(worker, &recover->io, DISK_READ,
        nvme_format_offset(worker->options.file->region_bytes, region, page),
        worker->staging.recover, (uint64_t)pages * NVME_FORMAT_PAGE);
}

static const struct nvme_format_page *page_at(const struct nvme_worker *worker, uint32_t index)
{
    return (const struct nvme_format_page *)(const void *)worker->staging.recover + index;
}

static void header_read(struct nvme_worker *worker, struct nvme_io *io)
{
    struct nvme_recover *recover = &worker->recover;
    const struct nvme_format_page *page = page_at(worker, 0);
    recover->waiting = false;
    worker->options.generations[recover->at] = 0;
    if (io->disk.result == 0) {
        struct nvme_format_home home = home_of(worker, recover->at);
        home.generation = page->generation;
        int status = nvme_format_check_home(page, NVME_FORMAT_REGION, &home);
        if (status == STATUS_OK) {
            worker->options.generations[recover->at] = page->generation;
        } else if (page->magic != 0) { /* it was written once, and is not what was written */
            nvme_channel_add(&worker->channel->corrupt, 1);
        }
    }
    recover->at++;
}

static int compare(const void *a, const void *b, void *context)
{
    const uint64_t *generations = context;
    uint64_t left = generations[*(const uint32_t *)a];
    uint64_t right = generations[*(const uint32_t *)b];
    return left < right ? 1 : left > right ? -1 : 0;
}

/* All generations are known. */
static void sort_regions(struct nvme_worker *worker)
{
    struct nvme_recover *recover = &worker->recover;
    uint32_t regions = worker->options.file->regions;
    recover->order = calloc(regions, sizeof *recover->order);
    for (uint32_t i = 0; i < regions && recover->order != NULL; i++) {
        if (worker->options.generations[i] > 0) {
            recover->order[recover->count++] = i;
        }
    }
    if (recover->order != NULL) {
        qsort_r(recover->order, recover->count, sizeof *recover->order, compare,
            worker->options.generations);
    }
    recover->at = 0;
    recover->state = NVME_RECOVER_END;
    struct nvme_op *op = recover->headers;
    recover->headers = NULL;
    nvme_thread_answer(worker, op, recover->order != NULL ? STATUS_OK : STATUS_NO_MEMORY);
}

static void end_read(struct nvme_worker *worker, struct nvme_io *io)
{
    struct nvme_recover *recover = &worker->recover;
    struct nvme_format_home home = home_of(worker, recover->order[recover->at]);
    const struct nvme_format_page *page = page_at(worker, 0);
    recover->waiting = false;
    if (io->disk.result != 0) {
        next_region(recover);
    } else if (nvme_format_check_home(page, NVME_FORMAT_END, &home) == STATUS_OK) {
        recover->state = NVME_RECOVER_FOOTERS;
        recover->pages = (uint32_t)page->sequence;
        recover->page = worker->region_pages - 1 - recover->pages;
        recover->read_pages = 0;
        recover->read_at = 0;
    } else {
        walk(recover);
    }
}

/* FOOTER pages, or one INDEX page, are in memory: the next step looks at them. */
static void pages_read(struct nvme_worker *worker, struct nvme_io *io)
{
    struct nvme_recover *recover = &worker->recover;
    recover->waiting = false;
    recover->read_at = 0;
    if (io->disk.result != 0) {
        next_region(recover);
    }
}

/* May we hand this record to the front? */
static bool is_ours(struct nvme_worker *worker, const struct record_header *record)
{
    const struct seal *seal = worker->options.rules.seal;
    struct record_header header;
    if (record_check(record, NULL, &header) != STATUS_OK) {
        nvme_channel_add(&worker->channel->corrupt, 1);
        return false;
    }
    bool sealed = (header.flags & RECORD_SEALED) != 0;
    if (sealed != (seal != NULL) || (sealed && header.key_check != seal->check)) {
        worker->recover.foreign++;
        return false;
    }
    return header.raw_bytes <= worker->options.block_bytes_most;
}

/* Hand the good records of a page to the front. Returns false if it has to wait for an empty op. */
static bool hand_over(struct nvme_worker *worker, const struct nvme_format_page *page)
{
    struct nvme_op *op = worker->recover.empty.first;
    if (op == NULL) {
        return false;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < page->count; i++) {
        if (is_ours(worker, &page->record[i])) {
            op->page->record[count] = page->record[i];
            op->page->place[count] = page->place[i];
            count++;
        }
    }
    if (count > 0) {
        op->page->count = count;
        op->place.region = page->region;
        op->generation = page->generation;
        nvme_thread_answer(worker, nvme_thread_pop(&worker->recover.empty), STATUS_OK);
    }
    return true;
}

static void step_footers(struct nvme_worker *worker, uint32_t region)
{
    struct nvme_recover *recover = &worker->recover;
    struct nvme_format_home home = home_of(worker, region);
    while (recover->read_at < recover->read_pages) {
        const struct nvme_format_page *page = page_at(worker, recover->read_at);
        if (nvme_format_check_home(page, NVME_FORMAT_FOOTER, &home) != STATUS_OK) {
            nvme_channel_add(&worker->channel->corrupt, 1);
            walk(recover); /* the groups say the same, at more cost */
            return;
        }
        if (!hand_over(worker, page)) {
            return;
        }
        recover->read_at++;
    }
    if (recover->pages == 0) {
        next_region(recover);
        return;
    }
    uint32_t most = NVME_WORKER_RECOVER_BYTES / NVME_FORMAT_PAGE;
    recover->read_pages = recover->pages < most ? recover->pages : most;
    recover->read_at = 0;
    begin_read(worker, region, recover->page, recover->read_pages, pages_read);
    recover->page += recover->read_pages;
    recover->pages -= recover->read_pages;
}

/* Each record of a group lies behind its own INDEX page, and before the next one. */
static bool is_group(const struct nvme_format_page *page, uint32_t at, uint64_t sequence)
{
    bool good = page->sequence == sequence && page->next_page > at;
    for (uint32_t i = 0; i < page->count; i++) {
        good = good && page->place[i].page - page->place[i].back == at &&
               page->place[i].page < page->next_page;
    }
    return good;
}

static void step_index(struct nvme_worker *worker, uint32_t region)
{
    struct nvme_recover *recover = &worker->recover;
    struct nvme_format_home home = home_of(worker, region);
    if (recover->read_at < recover->read_pages) {
        const struct nvme_format_page *page = page_at(worker, 0);
        if (nvme_format_check_home(page, NVME_FORMAT_INDEX, &home) != STATUS_OK ||
            !is_group(page, recover->page, recover->sequence)) {
            next_region(recover);
            return;
        }
        if (!hand_over(worker, page)) {
            return;
        }
        recover->read_at = recover->read_pages;
        recover->page = page->next_page;
        recover->sequence++;
    }
    if (recover->page >= worker->region_pages - 1) {
        next_region(recover);
        return;
    }
    recover->read_pages = 1;
    begin_read(worker, region, recover->page, 1, pages_read);
}

static void end(struct nvme_worker *worker)
{
    struct nvme_recover *recover = &worker->recover;
    recover->state = NVME_RECOVER_IDLE;
    free(recover->order);
    recover->order = NULL;
    if (recover->foreign > 0) {
        nvme_thread_note(worker,
            "%llu blocks are sealed with another key, or this tier's are sealed and they are not: "
            "they are passed over; remedy: the key file that wrote them",
            (unsigned long long)recover->foreign);
        recover->foreign = 0;
    }
}

/* An empty page that comes back empty says that there is no more. */
static void say_over(struct nvme_worker *worker)
{
    struct nvme_op *op;
    while ((op = nvme_thread_pop(&worker->recover.empty)) != NULL) {
        op->page->count = 0;
        nvme_thread_answer(worker, op, STATUS_OK);
    }
}

static void give_up(struct nvme_worker *worker)
{
    struct nvme_recover *recover = &worker->recover;
    if (recover->headers != NULL) {
        nvme_thread_answer(worker, recover->headers, STATUS_IO);
        recover->headers = NULL;
    }
    end(worker);
}

/* Go on until a transfer or an empty op has to be waited for. Returns false then. */
static bool go_on(struct nvme_worker *worker)
{
    struct nvme_recover *recover = &worker->recover;
    bool some = recover->state > NVME_RECOVER_HEADERS && recover->at < recover->count;
    uint32_t region = some ? recover->order[recover->at] : 0;
    uint32_t at = recover->at;
    enum nvme_recover_state state = recover->state;
    if (state == NVME_RECOVER_HEADERS) {
        if (recover->at < worker->options.file->regions) {
            begin_read(worker, recover->at, 0, 1, header_read);
        } else {
            sort_regions(worker);
        }
    } else if (!some) {
        end(worker);
    } else if (state == NVME_RECOVER_END) {
        begin_read(worker, region, worker->region_pages - 1, 1, end_read);
    } else if (state == NVME_RECOVER_FOOTERS) {
        step_footers(worker, region);
    } else {
        step_index(worker, region);
    }
    return recover->state != state || recover->at != at;
}

void nvme_recover_step(struct nvme_worker *worker)
{
    struct nvme_recover *recover = &worker->recover;
    if (recover->waiting) {
        return;
    }
    if (recover->headers != NULL && recover->state == NVME_RECOVER_IDLE) {
        recover->state = NVME_RECOVER_HEADERS;
        /* What was made now holds nothing; what lay there before is not ours. */
        recover->at = worker->options.file->fresh ? worker->options.file->regions : 0;
    }
    if (recover->state != NVME_RECOVER_IDLE && (worker->stop != NULL || worker->gone)) {
        give_up(worker);
    }
    while (recover->state != NVME_RECOVER_IDLE && !recover->waiting && go_on(worker)) {
    }
    if (recover->state == NVME_RECOVER_IDLE) {
        say_over(worker);
    }
}
