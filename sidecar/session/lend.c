/* lend: see lend.h. */
#include "sidecar/session/lend.h"

#include "shm/counter.h"
#include "shm/status.h"
#include "sidecar/block/evict.h"
#include "sidecar/block/pool.h"
#include "sidecar/session/touch.h"

#include <assert.h>
#include <string.h>

/* A free slot of one of the session's classes in `state`, made free by an eviction if need be. */
static int take_slot(struct session *session, uint32_t class, enum slot_state state,
    uint32_t wanted, uint32_t *out_slot, uint64_t *out_generation)
{
    struct session_table *table = session->table;
    struct blocks *blocks = table->blocks;
    int status = pool_take(blocks, class, state, out_slot, out_generation);
    if (status == STATUS_BUSY) {
        struct evict_sweep sweep = session_sweeper(table);
        (void)touch_drain(table);
        if (evict_room(blocks, class, wanted, &sweep) > 0) {
            status = pool_take(blocks, class, state, out_slot, out_generation);
        }
    }
    return status;
}

/* Lend a slot of the pool, in host or in device memory. */
static int lend_pool_slot(
    struct session *session, bool device, uint32_t wanted, struct reply *reply)
{
    struct session_table *table = session->table;
    uint32_t class = device ? session->device_class : session->size_class;
    int status = take_slot(session, class, SLOT_RESERVED, wanted, &reply->slot, &reply->generation);
    if (status == STATUS_OK) {
        grant_lend(&table->grants, &session->lent, session->number, reply->slot);
        ledger_lend(&table->blocks->ledger, reply->slot, session->number);
        session->device_lent += device ? 1 : 0;
        reply->offset = pool_offset(&table->blocks->pool, reply->slot);
    }
    return status;
}

/* A slot of the pool is not the session's any more. */
static void take_home(struct session *session, uint32_t slot)
{
    struct session_table *table = session->table;
    bool device = pool_tier(&table->blocks->pool, slot) != SLOT_TIER_HOST;
    grant_home(&table->grants, &session->lent, slot);
    session->device_lent -= device ? 1 : 0;
}

int lend_slot(struct session *session, bool device, uint32_t wanted, struct reply *reply)
{
    reply->bytes = session->block_bytes;
    if (device) {
        if (session->device == SESSION_NO_DEVICE) {
            return STATUS_UNSUPPORTED;
        }
        return session->device_lent >= session->device_grants_max
                   ? STATUS_LIMIT
                   : lend_pool_slot(session, true, wanted, reply);
    }
    if (session->isolated) {
        if (!staging_lend(&session->staging, &reply->slot, &reply->generation)) {
            return STATUS_LIMIT;
        }
        reply->offset = reply->slot * session->staging.place_bytes;
        return STATUS_OK;
    }
    return session->lent.count - session->device_lent >= session->grants_max
               ? STATUS_LIMIT
               : lend_pool_slot(session, false, wanted, reply);
}

bool lend_is_lent(const struct session *session, uint32_t slot, uint64_t generation)
{
    if (session->isolated) {
        return staging_is_lent(&session->staging, slot, generation);
    }
    const struct session_table *table = session->table;
    const struct index_view *index = &table->blocks->index;
    return slot < index->slots && grant_borrower(&table->grants, slot) == session->number &&
           slot_generation_of(slot_load_state(&index->lines[slot])) == generation;
}

void lend_return(struct session *session, uint32_t slot)
{
    struct session_table *table = session->table;
    if (session->isolated) {
        staging_home(&session->staging, slot);
    } else {
        take_home(session, slot);
        pool_give(table->blocks, slot);
    }
    counter_add(table->blocks->counters, COUNTER_grants_returned, 1);
}

/* An isolated client's place goes into a slot of the pool. */
static int copy_in(struct session *session, uint32_t *slot, uint64_t *generation, uint64_t bytes)
{
    struct session_table *table = session->table;
    struct blocks *blocks = table->blocks;
    uint32_t place = *slot;
    uint32_t taken;
    int status = take_slot(session, session->size_class, SLOT_LOADING, 1, &taken, generation);
    if (status == STATUS_OK) {
        char *to = (char *)table->pool_base + pool_offset(&blocks->pool, taken);
        memcpy(to, staging_at(&session->staging, place), bytes);
        counter_add(blocks->counters, COUNTER_bytes_copied, bytes);
        *slot = taken;
    }
    staging_home(&session->staging, place);
    return status;
}

int lend_filled(struct session *session, uint32_t *slot, uint64_t *generation, uint64_t bytes)
{
    assert(bytes > 0 && bytes <= session->block_bytes);
    if (session->isolated) {
        return copy_in(session, slot, generation, bytes);
    }
    take_home(session, *slot);
    return STATUS_OK;
}
