/* nvme_answer: what the I/O threads send back becomes events. See nvme.h and tier.h.
 *
 * poll() takes what is there, lets the regions move on, and only when nothing is left says to the
 * threads that it sleeps; else the descriptor stays readable.
 */
#include "sidecar/tier/nvme.h"

#include "shm/status.h"
#include "sidecar/moment.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where events go. */
struct sink {
    struct tier_done *done;
    uint32_t room;
    uint32_t count;
};

static void put(struct nvme *nvme, struct sink *sink, const struct tier_done *done)
{
    if (sink->count < sink->room) {
        sink->done[sink->count++] = *done;
        return;
    }
    assert(!nvme->has_extra);
    nvme->extra = *done;
    nvme->has_extra = true;
}

static void put_lost(struct nvme *nvme, struct sink *sink, const struct tier_id *id)
{
    put(nvme, sink, &(struct tier_done){.id = *id, .event = TIER_LOST, .status = STATUS_OK});
}

static void stored(struct nvme *nvme, struct nvme_dir *dir, struct nvme_op *op, struct sink *sink)
{
    struct tier_done done = {
        .cookie = op->cookie, .id = op->block.id, .event = TIER_STORED, .status = op->status};
    dir->stores--;
    if (op->status == STATUS_OK) {
        nvme->count.stores++;
        nvme->count.stored_bytes += op->block.bytes;
        budget_take(&nvme->budget, (int64_t)op->device_bytes - (int64_t)op->promised_bytes);
        if (op->error > nvme->count.error_worst) {
            nvme->count.error_worst = op->error;
        }
    } else {
        nvme->count.refused += op->status != STATUS_IO;
    }
    if (nvme_is_same(nvme, op)) { /* else it was dropped meanwhile */
        if (op->status == STATUS_OK) {
            op->place.directory = dir->regions.directory;
            catalog_place(&nvme->catalog, op->entry, &op->header, &op->place);
            region_link(&dir->regions, &nvme->catalog, op->entry);
        } else {
            catalog_remove(&nvme->catalog, op->entry);
        }
    }
    put(nvme, sink, &done);
}

/* Follow the median: a step towards each sample, so that half of them lie on either side. */
static void follow(uint64_t *median, uint64_t sample)
{
    uint64_t step = *median / 32 + 1;
    if (*median == 0) {
        *median = sample;
    } else if (sample > *median) {
        *median += step;
    } else if (sample<*median && * median> step) {
        *median -= step;
    }
}

static void loaded(struct nvme *nvme, struct nvme_dir *dir, struct nvme_op *op, struct sink *sink)
{
    struct tier_done done = {
        .cookie = op->cookie, .id = op->wish.id, .event = TIER_LOADED, .status = op->status};
    bool same = nvme_is_same(nvme, op);
    bool lost = false;
    dir->regions.region[op->region].reads--;
    if (op->status == STATUS_OK) {
        done.bytes = op->header.raw_bytes;
        nvme->count.loads++;
        nvme->count.loaded_bytes += op->header.raw_bytes;
        follow(&nvme->count.load_ns, moment_ns() - op->begun_ns);
        if (same) {
            region_hit(&dir->regions, &nvme->catalog, op->entry);
        }
    } else if (op->status != STATUS_IO) {
        done.status = STATUS_MISS;
        nvme->count.late += op->late;
        /* What is not what was stored is no more; nor is a copy that was made of it meanwhile: a
         * coded or sealed block moves as it is. */
        if (op->status != STATUS_MISS) {
            dir->corrupt++;
            lost = same;
            log_line(nvme->log, LOG_WARN, "nvme",
                "%s: a block of %llu bytes is not what was stored (%s): a miss; remedy: look at "
                "the disk if it happens again",
                dir->file.path, (unsigned long long)op->header.raw_bytes, status_name(op->status));
        }
    }
    put(nvme, sink, &done);
    if (lost) {
        nvme->count.dropped++;
        put_lost(nvme, sink, &op->wish.id);
        nvme_ask_forget(nvme, op->entry);
    }
}

static void headers(struct nvme *nvme, struct nvme_dir *dir, const struct nvme_op *op)
{
    uint32_t full = 0;
    for (uint32_t i = 0; i < dir->regions.count && op->status == STATUS_OK; i++) {
        if (dir->generations[i] > 0) {
            full += region_found(&dir->regions, i, dir->generations[i]);
        }
    }
    dir->ready = op->status == STATUS_OK;
    if (!dir->ready) {
        log_line(nvme->log, LOG_ERROR, "nvme",
            "%s: its regions could not be read; remedy: look at the disk, and restart",
            dir->file.path);
    } else if (full > 0) {
        log_line(
            nvme->log, LOG_INFO, "nvme", "%s: %u regions of an earlier life", dir->file.path, full);
    }
}

/* One record of an earlier life. The newest of two with one name wins. */
static void find(struct nvme *nvme, struct nvme_dir *dir, const struct nvme_op *op, uint32_t at,
    struct sink *sink)
{
    const struct record_header *record = &op->page->record[at];
    const struct region *region = &dir->regions.region[op->place.region];
    if (region->state != REGION_FULL || region->generation != op->generation) {
        return; /* it was given up already */
    }
    struct tier_id id;
    memcpy(&id.key, record->key, sizeof id.key);
    memcpy(id.space, record->space, sizeof id.space);
    struct catalog_place place = {.region = op->place.region,
        .page = op->page->place[at].page,
        .back = (uint16_t)op->page->place[at].back,
        .directory = dir->regions.directory};
    uint32_t entry = catalog_find(&nvme->catalog, &id);
    if (entry != CATALOG_NONE) {
        const struct catalog_entry *about = &nvme->catalog.entries[entry];
        bool older = about->state == CATALOG_HELD && about->directory == place.directory &&
                     !about->moving &&
                     (dir->regions.region[about->region].generation < op->generation ||
                         (about->region == place.region && about->page < place.page));
        if (older) {
            region_unlink(&dir->regions, &nvme->catalog, entry);
            catalog_place(&nvme->catalog, entry, record, &place);
            region_link(&dir->regions, &nvme->catalog, entry);
        }
        return;
    }
    entry = catalog_add(&nvme->catalog, &id, record->type, record->channels);
    if (entry == CATALOG_NONE) {
        nvme->count.refused++;
        return;
    }
    catalog_place(&nvme->catalog, entry, record, &place);
    region_link(&dir->regions, &nvme->catalog, entry);
    dir->found_blocks++;
    put(nvme, sink,
        &(struct tier_done){
            .id = id, .bytes = record->raw_bytes, .event = TIER_FOUND, .status = STATUS_OK});
}

/* As many records of a page as there is room for events. */
static void found(struct nvme *nvme, struct nvme_dir *dir, struct sink *sink)
{
    struct nvme_op *op = dir->found;
    while (op->cursor < op->page->count && sink->count < sink->room) {
        find(nvme, dir, op, op->cursor++, sink);
    }
    if (op->cursor < op->page->count) {
        return;
    }
    dir->found = NULL;
    if (op->page->count > 0) {
        nvme_channel_ask(dir->channel, op);
    } else if (++dir->pages_over == NVME_PAGES && dir->found_blocks > 0) {
        log_line(nvme->log, LOG_INFO, "nvme", "%s: %llu blocks found again in %llu ms",
            dir->file.path, (unsigned long long)dir->found_blocks,
            (unsigned long long)((moment_ns() - dir->opened_ns) / 1000000));
    }
}

static void answer(struct nvme *nvme, struct nvme_dir *dir, struct nvme_op *op, struct sink *sink)
{
    switch (op->kind) {
    case NVME_OP_STORE:
        stored(nvme, dir, op, sink);
        nvme_ask_drop(dir, op);
        break;
    case NVME_OP_LOAD:
        loaded(nvme, dir, op, sink);
        nvme_ask_drop(dir, op);
        break;
    case NVME_OP_MOVE:
        op->place.directory = dir->regions.directory;
        if (nvme_reclaim_moved(nvme, dir, op)) {
            put_lost(nvme, sink, &op->wish.id);
        }
        nvme_ask_drop(dir, op);
        break;
    case NVME_OP_REGION:
        region_seal(&dir->regions, op->place.region);
        budget_take(&nvme->budget, (int64_t)op->device_bytes);
        op->next = dir->region_free;
        dir->region_free = op;
        break;
    case NVME_OP_HEADERS:
        headers(nvme, dir, op);
        break;
    case NVME_OP_FOUND:
        op->cursor = 0;
        dir->found = op;
        found(nvme, dir, sink);
        break;
    case NVME_OP_NOTE:
        log_line(nvme->log, LOG_WARN, "nvme", "%s: %s", dir->file.path, op->text);
        (void)snprintf(dir->note, sizeof dir->note, "%.*s", (int)sizeof dir->note - 1, op->text);
        nvme_channel_ask(dir->channel, op);
        break;
    case NVME_OP_STOP:
        break;
    }
}

/* Take what one directory has. Returns true if something may be left. */
static bool drain(struct nvme *nvme, struct nvme_dir *dir, uint64_t now_ns, struct sink *sink)
{
    struct nvme_op *op = NULL;
    if (dir->found != NULL) {
        found(nvme, dir, sink);
    }
    bool part = false;
    while (sink->count < sink->room && !nvme->has_extra && dir->found == NULL &&
           (op = nvme_channel_take(dir->channel, &part)) != NULL) {
        if (part) {
            put(nvme, sink,
                &(struct tier_done){.cookie = op->cookie,
                    .id = op->wish.id,
                    .bytes = op->wish.part_bytes,
                    .event = TIER_PART,
                    .status = STATUS_OK});
        } else {
            answer(nvme, dir, op, sink);
        }
    }
    bool more = false;
    sink->count += nvme_reclaim_step(
        nvme, dir, now_ns, sink->done + sink->count, sink->room - sink->count, &more);
    return more || dir->found != NULL || nvme->has_extra || sink->count == sink->room;
}

/* Rings that were not read yet? Each I/O thread counts its own. */
static bool is_rung(const struct nvme *nvme)
{
    uint64_t rung = nvme->own_rings;
    for (uint32_t i = 0; i < nvme->dirs; i++) {
        rung += shared64_load_relaxed(&nvme->dir[i].channel->queue->rung);
    }
    return rung != nvme->cleared;
}

/* Nothing is left: the descriptor is quiet until something comes. Returns false if it came. */
static bool sleep_now(struct nvme *nvme)
{
    uint64_t rings = 0;
    if (is_rung(nvme) && read(nvme->event_fd, &rings, sizeof rings) == (ssize_t)sizeof rings) {
        nvme->cleared += rings;
    }
    bool quiet = true;
    for (uint32_t i = 0; i < nvme->dirs; i++) {
        quiet = !channel_front_sleep(nvme->dir[i].channel->queue) && quiet;
    }
    return quiet;
}

/* Something is left: the descriptor is readable. */
static void stay_awake(struct nvme *nvme)
{
    uint64_t one = 1;
    if (!is_rung(nvme) && write(nvme->event_fd, &one, sizeof one) == (ssize_t)sizeof one) {
        nvme->own_rings++;
    }
}

uint32_t nvme_answer_poll(
    struct tier *tier, uint64_t now_ns, struct tier_done *out_done, uint32_t room)
{
    struct nvme *nvme = (struct nvme *)tier;
    struct sink sink = {.done = out_done, .room = room};
    if (room == 0) {
        return 0;
    }
    if (nvme->has_extra) {
        out_done[sink.count++] = nvme->extra;
        nvme->has_extra = false;
    }
    bool more = true;
    /* Twice at most: once more if something came while we said that we sleep. Each sleep is a new
     * one, because a thread rings only once for each. */
    for (uint32_t pass = 0; pass < 2 && more; pass++) {
        more = false;
        for (uint32_t i = 0; i < nvme->dirs; i++) {
            channel_front_wake(nvme->dir[i].channel->queue);
            more = drain(nvme, &nvme->dir[i], now_ns, &sink) || more;
        }
        if (more) {
            break;
        }
        more = !sleep_now(nvme);
    }
    if (more) {
        stay_awake(nvme);
    }
    return sink.count;
}
