/* fetch_layers: read the first layers of cold blocks while the others are still coming.
 *
 * The sidecar says where they lie in a slot that is still LOADING. That slot is pinned as any other
 * (ordering 2 of shm/README.md); it is believed if, after the fence, it is still LOADING under the
 * generation of the message. The first bytes then stay as they are while the pin stands, also if
 * the rest cannot be read: the sidecar sweeps a slot that it gives up like any victim.
 */
#include "libclient/batch.h"
#include "libclient/hit.h"
#include "libclient/match.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/pin.h"
#include "shm/status.h"

/* The message is foreign: a wrong place must not send a reader outside the pool. */
static bool is_sound(const struct attach *attach, const struct reply *part, uint64_t bytes)
{
    return part->type == REPLY_PART && part->slot < attach->host_slots && part->bytes >= bytes &&
           part->bytes <= UINT32_MAX && part->offset % LAYOUT_PAGE_BYTES == 0 &&
           part->bytes <= attach->pool_bytes && part->offset <= attach->pool_bytes - part->bytes;
}

/* Pin the first bytes of a block that is still coming.
 * Returns 0, STATUS_PINS, or STATUS_MISS: it may be hot meanwhile, or lost. */
static int pin_part(
    struct core_seat *seat, const struct reply *part, uint64_t bytes, struct hit *out_hit)
{
    const struct attach *attach = seat->attach;
    struct pin_seat *pins = &seat->lane->pins;
    if (!is_sound(attach, part, bytes)) {
        return STATUS_MISS;
    }
    if (!pin_take(pins, part->slot, &out_hit->record)) {
        return why_failed(STATUS_PINS, "all %u pins of this thread are in use", pins->count);
    }
    pin_fence(); /* R3; partner: V3 of the sweep of a slot whose load failed */
    uint64_t state = slot_load_state(&attach->index.lines[part->slot]);
    if (state != slot_word(part->generation, SLOT_LOADING) || !hit_same_epoch(attach)) {
        pin_drop(pins, out_hit->record);
        return STATUS_MISS;
    }
    /* No touch: the slot stays held for this client until the whole block is acquired. */
    out_hit->slot = part->slot;
    out_hit->state = state;
    out_hit->place = (struct slot_content){
        .offset = part->offset, .bytes = (uint32_t)part->bytes, .tier = SLOT_TIER_HOST};
    core_count(seat, CORE_HITS, 1);
    return STATUS_OK;
}

/* Ask for what follows the first `*done` blocks, and pin what came. */
static int bring(struct cistern *handle, struct core_seat *seat, const struct batch *batch,
    uint64_t bytes, int64_t timeout_ns, struct cistern_view *out_views, size_t *done)
{
    struct call_parts parts = {.count = batch->count};
    int status = batch_ask(handle, seat, batch, bytes, timeout_ns, &parts);
    if (status < 0) {
        return status;
    }
    status = STATUS_OK;
    for (uint32_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        struct hit hit;
        status = pin_part(seat, &parts.part[i], bytes, &hit);
        if (status == STATUS_MISS) {
            struct key key = hit_key(&batch->keys[batch->hot + i]);
            status = hit_pin(handle, seat, &key, &hit);
        }
        if (status == STATUS_OK) {
            hit_view(seat->attach, seat, &hit, &out_views[(*done)++]);
        }
    }
    return status;
}

/* Bytes of the first `layers` layers of a block, or 0 if it has no such part. */
static uint64_t layer_bytes(const struct space *space, uint32_t layers)
{
    if (layers == 0 || layers > space->layers || space->block_bytes % space->layers != 0) {
        return 0;
    }
    return space->block_bytes / space->layers * layers;
}

int cistern_fetch_layers(cistern_t *handle, const struct cistern_key *keys, size_t count,
    uint32_t layers, int64_t timeout_ns, struct cistern_view *out_views, size_t *out_count)
{
    if (handle == NULL || keys == NULL || out_views == NULL || out_count == NULL) {
        return why_failed(STATUS_INVALID, "cistern_fetch_layers: an argument is NULL");
    }
    if (count == 0 || count > REQUEST_PARTS_MAX || timeout_ns < 0) {
        return why_failed(STATUS_INVALID,
            "cistern_fetch_layers: count is not 1 to %u, or timeout_ns is below 0",
            REQUEST_PARTS_MAX);
    }
    uint64_t bytes = layer_bytes(&handle->hello.space, layers);
    if (bytes == 0) {
        return why_failed(STATUS_INVALID, "%u layers of blocks of %u layers and %llu bytes", layers,
            handle->hello.space.layers, (unsigned long long)handle->hello.space.block_bytes);
    }
    struct core_seat *seat;
    int status = thread_enter(handle, &seat);
    if (status != STATUS_OK) {
        return status;
    }
    size_t done = 0;
    status = hit_acquire(handle, seat, keys, count, out_views, &done);
    if (status < 0) {
        return status;
    }
    struct batch batch = {.keys = keys, .hot = done};
    batch.count = (uint32_t)match_cold(seat->attach, keys + done, count - done);
    if (batch.count > 0) {
        status = bring(handle, seat, &batch, bytes, timeout_ns, out_views, &done);
    }
    if (done == 0) {
        return status;
    }
    *out_count = done;
    return STATUS_OK;
}
