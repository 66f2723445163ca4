/* double_tier: a double of a tier, moved by hand: an operation ends when the test says so, and how.
 *
 * Keeps the rules of sidecar/tier/tier.h: what was accepted ends in one event; what is loaded with
 * OK is what was stored; what it does not have is a MISS at once. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_BLOCK_DOUBLE_TIER_H
#define CISTERN_TESTS_UNIT_SIDECAR_BLOCK_DOUBLE_TIER_H

#include "shm/status.h"
#include "sidecar/tier/tier.h"

#include "tests/check.h"

#include <string.h>

#define DOUBLE_OPS 512u
#define DOUBLE_KEPT 2048u
#define DOUBLE_EVENTS 4096u
#define DOUBLE_BYTES 4096u

struct double_op {
    struct tier_wish wish;
    uint64_t cookie;
    const void *data;
    uint64_t bytes;
    bool store;
};

struct double_kept {
    struct tier_id id;
    uint64_t bytes;
    unsigned char data[DOUBLE_BYTES];
};

struct double_tier {
    struct tier tier;
    struct double_op ops[DOUBLE_OPS]; /* under way, oldest first */
    uint32_t op_count;
    struct double_kept *kept;
    uint32_t kept_count;
    struct tier_done *events;
    uint32_t event_count;
    uint32_t depth; /* operations at one time */
    int refuse; /* what store and load say at once; 0: nothing */
    uint32_t loads; /* asked for, refused ones too */
    uint32_t stores;
    struct tier_health health;
    int fd;
    bool closed;
};

static inline struct double_kept *double_find(
    const struct double_tier *tier, const struct tier_id *id)
{
    for (uint32_t i = 0; i < tier->kept_count; i++) {
        if (memcmp(&tier->kept[i].id, id, sizeof *id) == 0) {
            return &tier->kept[i];
        }
    }
    return NULL;
}

static inline void double_event(struct double_tier *tier, const struct tier_done *done)
{
    assert_true(tier->event_count < DOUBLE_EVENTS);
    tier->events[tier->event_count++] = *done;
}

static inline int double_store(struct tier *base, const struct tier_block *block, uint64_t cookie)
{
    struct double_tier *tier = (struct double_tier *)base;
    tier->stores++;
    if (tier->refuse != 0) {
        return tier->refuse;
    }
    if (double_find(tier, &block->id) != NULL) {
        return STATUS_OK;
    }
    if (tier->op_count >= tier->depth) {
        return STATUS_BUSY;
    }
    assert_true(block->bytes > 0 && block->bytes <= DOUBLE_BYTES);
    tier->ops[tier->op_count++] = (struct double_op){
        .wish = {.id = block->id},
        .cookie = cookie,
        .data = block->data,
        .bytes = block->bytes,
        .store = true,
    };
    return STATUS_PENDING;
}

static inline int double_load(struct tier *base, const struct tier_wish *wish, uint64_t cookie)
{
    struct double_tier *tier = (struct double_tier *)base;
    tier->loads++;
    if (tier->refuse != 0) {
        return tier->refuse;
    }
    if (double_find(tier, &wish->id) == NULL) {
        return STATUS_MISS;
    }
    if (tier->op_count >= tier->depth) {
        return STATUS_BUSY;
    }
    tier->ops[tier->op_count++] = (struct double_op){.wish = *wish, .cookie = cookie};
    return STATUS_PENDING;
}

static inline void double_drop(struct tier *base, const struct tier_id *id)
{
    struct double_tier *tier = (struct double_tier *)base;
    struct double_kept *kept = double_find(tier, id);
    if (kept != NULL) {
        *kept = tier->kept[--tier->kept_count];
    }
}

static inline uint32_t double_poll(
    struct tier *base, uint64_t now_ns, struct tier_done *out_done, uint32_t room)
{
    struct double_tier *tier = (struct double_tier *)base;
    (void)now_ns;
    uint32_t count = tier->event_count < room ? tier->event_count : room;
    memcpy(out_done, tier->events, count * sizeof *out_done);
    tier->event_count -= count;
    memmove(tier->events, tier->events + count, tier->event_count * sizeof *out_done);
    return count;
}

static inline int double_fd(const struct tier *base)
{
    return ((const struct double_tier *)base)->fd;
}

static inline void double_describe(const struct tier *base, char *out_text, size_t text_bytes)
{
    (void)base;
    (void)snprintf(out_text, text_bytes, "a double");
}

static inline void double_health(const struct tier *base, struct tier_health *out_health)
{
    *out_health = ((const struct double_tier *)base)->health;
}

static inline void double_close(struct tier *base, uint64_t wait_ns)
{
    struct double_tier *tier = (struct double_tier *)base;
    (void)wait_ns;
    tier->closed = true;
    free(tier->kept);
    free(tier->events);
    tier->kept = NULL;
    tier->events = NULL;
}

static const struct tier_ops double_ops = {
    .name = "double",
    .store = double_store,
    .load = double_load,
    .drop = double_drop,
    .poll = double_poll,
    .fd = double_fd,
    .describe = double_describe,
    .health = double_health,
    .close = double_close,
};

static inline void double_open(struct double_tier *tier)
{
    *tier = (struct double_tier){
        .tier = {.ops = &double_ops},
        .kept = calloc(DOUBLE_KEPT, sizeof *tier->kept),
        .events = calloc(DOUBLE_EVENTS, sizeof *tier->events),
        .depth = DOUBLE_OPS,
        .health = {.up = true},
        .fd = 1000000, /* never looked at: only that there is one counts */
    };
    assert_true(tier->kept != NULL && tier->events != NULL);
}

/* Have a block, as if it had been stored. */
static inline void double_keep(
    struct double_tier *tier, const struct tier_id *id, const void *data, uint64_t bytes)
{
    assert_true(tier->kept_count < DOUBLE_KEPT && bytes <= DOUBLE_BYTES);
    struct double_kept *kept = &tier->kept[tier->kept_count++];
    *kept = (struct double_kept){.id = *id, .bytes = bytes};
    memcpy(kept->data, data, bytes);
}

/* The operation at `at` ends with this status. */
static inline void double_end(struct double_tier *tier, uint32_t at, int status)
{
    assert_true(at < tier->op_count);
    struct double_op op = tier->ops[at];
    struct tier_done done = {.cookie = op.cookie, .id = op.wish.id, .status = status};
    memmove(&tier->ops[at], &tier->ops[at + 1], (tier->op_count - at - 1) * sizeof op);
    tier->op_count--;
    done.event = op.store ? TIER_STORED : TIER_LOADED;
    if (op.store && status == STATUS_OK) {
        double_keep(tier, &op.wish.id, op.data, op.bytes);
    } else if (!op.store && status == STATUS_OK) {
        const struct double_kept *kept = double_find(tier, &op.wish.id);
        assert_non_null(kept);
        memcpy(op.wish.out_data, kept->data, kept->bytes);
        done.bytes = kept->bytes;
    } else if (!op.store) {
        memset(op.wish.out_data, 0xee, op.wish.room); /* undefined, after anything but OK */
    }
    double_event(tier, &done);
}

static inline void double_end_all(struct double_tier *tier, int status)
{
    while (tier->op_count > 0) {
        double_end(tier, 0, status);
    }
}

/* The first `bytes` of the load at `at` are there. */
static inline void double_part(struct double_tier *tier, uint32_t at, uint64_t bytes)
{
    const struct double_op *op = &tier->ops[at];
    const struct double_kept *kept = double_find(tier, &op->wish.id);
    assert_true(!op->store && kept != NULL && bytes <= kept->bytes);
    memcpy(op->wish.out_data, kept->data, bytes);
    struct tier_done done = {
        .cookie = op->cookie, .id = op->wish.id, .bytes = bytes, .event = TIER_PART};
    double_event(tier, &done);
}

static inline void double_say(
    struct double_tier *tier, enum tier_event event, const struct tier_id *id)
{
    struct tier_done done = {.id = *id, .event = event};
    if (event == TIER_LOST) {
        double_drop(&tier->tier, id);
    }
    double_event(tier, &done);
}

#endif
