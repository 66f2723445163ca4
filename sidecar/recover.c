/* recover: see recover.h. */
#include "sidecar/recover.h"

#include "cuda/device_host.h"
#include "shm/counter.h"
#include "shm/status.h"
#include "sidecar/block/adopt.h"
#include "sidecar/block/pool_class.h"
#include "sidecar/block/quarantine.h"
#include "sidecar/moment.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum memory_fd { FD_POOL, FD_INDEX, FD_LEDGER, FD_COUNT };
static_assert((int)FD_COUNT <= (int)KEEP_TABLE_FDS, "one message holds all of it");

/* Read a blob of a fixed size. Returns false if it has another one. */
static bool read_blob(const struct keep_item *item, void *out_record, uint32_t bytes)
{
    if (item->bytes != bytes) {
        return false;
    }
    memcpy(out_record, item->blob, bytes);
    return true;
}

bool recover_can(const struct keep *keep)
{
    return keep != NULL && !keep->cold && keep_table_find(&keep->held, KEEP_MEMORY, 0) != NULL;
}

int recover_hold(
    struct keep *keep, const struct recover_memory *memory, const struct recover_sizes *sizes)
{
    const int fds[FD_COUNT] = {[FD_POOL] = memory->pool.segment.fd,
        [FD_INDEX] = memory->index.fd,
        [FD_LEDGER] = memory->ledger.fd};
    return keep_hold(keep, KEEP_MEMORY, 0, sizes, sizeof *sizes, fds, FD_COUNT);
}

static int take_fd(struct keep_item *item, enum memory_fd which)
{
    int fd = item->fds[which];
    item->fds[which] = -1;
    return fd;
}

static int map_all(
    struct keep_item *item, const struct recover_sizes *is, struct recover_memory *out_memory)
{
    struct recover_memory memory = {
        .pool = DEVICE_POOL_NONE, .index = SEGMENT_NONE, .ledger = SEGMENT_NONE};
    const struct device_pool as = {.node = is->node, .segment = {.huge = is->huge != 0}};
    /* Every page of index and ledger is looked at, so they come at once; of the pool none is. */
    int status = segment_adopt(take_fd(item, FD_INDEX), is->index_bytes, true, &memory.index);
    if (status == STATUS_OK) {
        status = segment_adopt(take_fd(item, FD_LEDGER), is->ledger_bytes, true, &memory.ledger);
    }
    if (status == STATUS_OK) {
        status = device_host.adopt(take_fd(item, FD_POOL), is->pool_bytes, &as, &memory.pool);
    }
    if (status != STATUS_OK) {
        segment_close(&memory.index);
        segment_close(&memory.ledger);
        return status;
    }
    *out_memory = memory;
    return STATUS_OK;
}

int recover_map(struct keep *keep, const struct recover_sizes *wanted,
    struct recover_memory *out_memory, char *why, size_t why_bytes)
{
    struct keep_item *item = keep_table_find(&keep->held, KEEP_MEMORY, 0);
    struct recover_sizes is;
    if (item == NULL || item->fd_count != FD_COUNT || !read_blob(item, &is, sizeof is)) {
        (void)snprintf(why, why_bytes, "what the keeper holds is not understood");
        return STATUS_MALFORMED;
    }
    if (is.abi != wanted->abi || is.pool_bytes != wanted->pool_bytes ||
        is.extent_bytes != wanted->extent_bytes || is.slot_min_bytes != wanted->slot_min_bytes ||
        is.index_bytes != wanted->index_bytes || is.ledger_bytes != wanted->ledger_bytes ||
        is.devices != wanted->devices || is.device_bytes != wanted->device_bytes) {
        (void)snprintf(why, why_bytes,
            "the memory is of a pool of %llu MiB and %u devices of %llu MiB, with slots of %llu "
            "KiB and more, which is not what is configured",
            (unsigned long long)(is.pool_bytes >> 20), is.devices,
            (unsigned long long)(is.device_bytes >> 20),
            (unsigned long long)(is.slot_min_bytes >> 10));
        return STATUS_STALE;
    }
    int status = map_all(item, &is, out_memory);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "the memory cannot be mapped");
    }
    return status;
}

/* From here on nobody can pin anything through an older attach: clients compare the epoch, after
 * their fence, with that of their attach. Partner: R3 and R6 in libclient/hit. */
static void raise_epoch(struct index_header *header)
{
    shared64_store_relaxed(&header->epoch, shared64_load_relaxed(&header->epoch) + 1);
    shared_fence_full();
}

static int take_classes(struct session_table *table)
{
    uint32_t at = 0;
    struct keep_item *item;
    while ((item = keep_table_next(&table->keep->held, KEEP_CLASS, &at)) != NULL) {
        uint64_t slot_bytes;
        if (!read_blob(item, &slot_bytes, sizeof slot_bytes) ||
            pool_class_adopt(table->blocks, item->id, slot_bytes) != STATUS_OK) {
            return STATUS_MALFORMED;
        }
    }
    return STATUS_OK;
}

static int take_spaces(struct session_table *table, bool *known)
{
    uint32_t at = 0;
    struct keep_item *item;
    while ((item = keep_table_next(&table->keep->held, KEEP_SPACE, &at)) != NULL) {
        struct registry_record record;
        if (!read_blob(item, &record, sizeof record) ||
            registry_adopt(&table->registry, item->id, &record) != STATUS_OK) {
            return STATUS_MALFORMED;
        }
        known[item->id] = true;
    }
    return STATUS_OK;
}

static int take_sessions(struct session_table *table)
{
    uint32_t at = 0;
    struct keep_item *item;
    table->serial = (uint32_t)shared64_load_relaxed(&table->blocks->ledger.head->sessions);
    while ((item = keep_table_next(&table->keep->held, KEEP_SESSION, &at)) != NULL) {
        struct session_record record;
        if (item->fd_count != SESSION_FDS || !read_blob(item, &record, sizeof record)) {
            return STATUS_MALFORMED;
        }
        int fds[SESSION_FDS];
        for (uint32_t i = 0; i < SESSION_FDS; i++) {
            fds[i] = item->fds[i];
            item->fds[i] = -1;
        }
        int status = session_adopt(table, item->id, &record, fds);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* A lent slot is its session's again, if that one is here; else something may still write it. */
static void take_lent(struct session_table *table, struct adopt_chain *chain)
{
    struct blocks *blocks = table->blocks;
    while (chain->count > 0) {
        uint32_t slot = adopt_pop(blocks, chain);
        uint32_t number = ledger_borrower_of(&blocks->ledger, slot);
        struct session *session = number == 0 ? NULL : session_find(table, number);
        if (session != NULL) {
            grant_lend(&table->grants, &session->lent, number, slot);
        } else {
            quarantine_put(blocks, slot, table->now_ns);
        }
    }
}

/* A read that the dead server started may still land in its slot. */
static void take_loading(struct session_table *table, struct adopt_found *found)
{
    while (found->loading.count > 0) {
        quarantine_put(table->blocks, adopt_pop(table->blocks, &found->loading), table->now_ns);
    }
    table->read_on = found->read;
}

/* Milliseconds with one digit behind the point, for the log. */
static double ms(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e6;
}

static int take_all(struct session_table *table, uint32_t lost, uint64_t start_ns, bool *known)
{
    struct blocks *blocks = table->blocks;
    struct evict_sweep sweep = session_sweeper(table);
    struct adopt_found found;
    uint64_t opened_ns = moment_ns();
    raise_epoch(blocks->index.header);
    int status = take_classes(table);
    if (status == STATUS_OK) {
        status = take_spaces(table, known);
    }
    if (status == STATUS_OK) {
        status = take_sessions(table);
    }
    uint64_t lanes_ns = moment_ns();
    if (status == STATUS_OK) {
        const struct adopt_terms terms = {.known = known, .lost_devices = lost};
        status = adopt_blocks(blocks, &terms, &sweep, &found);
    }
    if (status != STATUS_OK) {
        return status;
    }
    table->now_ns = moment_ns();
    uint32_t lent = found.lent.count;
    uint32_t loading = found.loading.count + found.read.count;
    take_lent(table, &found.lent);
    take_loading(table, &found);
    uint64_t end_ns = moment_ns();
    counter_add(blocks->counters, COUNTER_restarts, 1);
    counter_set(blocks->counters, COUNTER_restart_blocks, found.blocks);
    counter_set(blocks->counters, COUNTER_restart_us, (end_ns - start_ns) / 1000);
    log_line(table->log, LOG_INFO, "recover",
        "took over %u blocks of %u namespaces, %u lanes in %.1f ms: memory %.1f, lanes %.1f, "
        "blocks %.1f; %u slots stay lent, %u were loading, %u dropped, %u lost with their device",
        found.blocks, table->registry.count, table->adopted, ms(start_ns, end_ns),
        ms(start_ns, opened_ns), ms(opened_ns, lanes_ns), ms(lanes_ns, end_ns), lent, loading,
        found.dropped, found.lost);
    return STATUS_OK;
}

int recover_take(
    struct session_table *table, uint32_t lost, uint64_t start_ns, char *why, size_t why_bytes)
{
    bool *known = calloc(BLOCKS_SPACES, sizeof *known);
    int status = known == NULL ? STATUS_NO_MEMORY : take_all(table, lost, start_ns, known);
    free(known);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "what the last server left %s",
            status == STATUS_NO_MEMORY ? "needs more memory to be taken over"
                                       : "contradicts itself");
    }
    return status;
}

/* Clients that only hit would never notice that their memory is nobody's any more. */
static void tell_clients(struct keep_item *item)
{
    struct recover_sizes is;
    struct segment index = SEGMENT_NONE;
    struct index_view view;
    if (item == NULL || item->fd_count != FD_COUNT || item->fds[FD_INDEX] < 0 ||
        !read_blob(item, &is, sizeof is) ||
        segment_adopt(take_fd(item, FD_INDEX), is.index_bytes, false, &index) != STATUS_OK) {
        return;
    }
    if (layout_index_view(index.base, index.bytes, &view) == STATUS_OK) {
        raise_epoch(view.header);
    }
    segment_close(&index);
}

void recover_renounce(struct keep *keep)
{
    if (keep == NULL) {
        return;
    }
    tell_clients(keep_table_find(&keep->held, KEEP_MEMORY, 0));
    const enum keep_kind kinds[] = {
        KEEP_MEMORY, KEEP_CLASS, KEEP_SPACE, KEEP_SESSION, KEEP_DEVICE, KEEP_SLAB};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint32_t at = 0;
        struct keep_item *item;
        while ((item = keep_table_next(&keep->held, kinds[i], &at)) != NULL) {
            uint32_t id = item->id;
            keep_table_drop(&keep->held, kinds[i], id);
            keep_drop(keep, kinds[i], id);
            at = 0;
        }
    }
}
