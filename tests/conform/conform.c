/* conform: see conform.h. */
#include "tests/conform/conform.h"

#include "shm/status.h"
#include "sidecar/moment.h"

#include <poll.h>
#include <string.h>
#include <time.h>

#define PAGE UINT64_C(4096)
#define EVENTS 64u

static void *memory_of(uint64_t bytes)
{
    void *memory = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);
    assert_non_null(memory);
    return memory;
}

static void open_tier(struct conform *world)
{
    char why[TIER_WHY] = "";
    int status = world->backend->open(&world->place, &world->tier, why, sizeof why);
    if (status != STATUS_OK) {
        fail_msg("%s: %s: %s", world->backend->name, status_name(status), why);
    }
    assert_true(why[0] != '\0');
    world->stored = world->loaded = 0;
    world->stored_bytes = world->loaded_bytes = 0;
    for (uint32_t i = 0; i < CONFORM_BLOCKS; i++) {
        world->blocks[i].found = 0;
        world->blocks[i].lost = 0;
        world->blocks[i].gone = false;
        world->blocks[i].stores = 0;
    }
}

void conform_open(struct conform *world, const struct conform_backend *backend, uint64_t seed)
{
    *world = (struct conform){.backend = backend, .random = seed};
    place_open(&world->place);
    open_tier(world);
}

/* Those that did not end are gone; their memory is ours again. */
static void forget_ops(struct conform *world)
{
    for (uint64_t i = 0; i < world->op_count; i++) {
        if (world->ops[i].live) {
            free(world->ops[i].memory);
        }
    }
    free(world->ops);
    world->ops = NULL;
    world->op_count = world->op_room = world->live = world->ended = 0;
}

void conform_close(struct conform *world)
{
    if (world->tier != NULL) {
        tier_close(world->tier, CONFORM_WAIT_NS);
    }
    forget_ops(world);
    place_close(&world->place);
}

void conform_reopen(struct conform *world)
{
    tier_close(world->tier, CONFORM_WAIT_NS);
    world->tier = NULL;
    forget_ops(world);
    open_tier(world);
}

int conform_setup(void **state)
{
    struct conform *world = malloc(sizeof *world);
    const struct conform_backend *backend = *state;
    if (world == NULL) {
        return 1;
    }
    conform_open(world, backend, check_seed());
    *state = world;
    return 0;
}

int conform_teardown(void **state)
{
    conform_close(*state);
    free(*state);
    return 0;
}

static uint64_t begin(struct conform *world, uint64_t number, void *memory, bool is_load)
{
    if (world->op_count == world->op_room) {
        uint64_t room = world->op_room == 0 ? 256 : 2 * world->op_room;
        struct conform_op *ops = realloc(world->ops, room * sizeof *ops);
        assert_non_null(ops);
        world->ops = ops;
        world->op_room = room;
    }
    world->ops[world->op_count] =
        (struct conform_op){.number = number, .memory = memory, .is_load = is_load, .live = true};
    return world->op_count++;
}

/* The tier did not take it. */
static void undo(struct conform *world)
{
    world->op_count--;
    free(world->ops[world->op_count].memory);
}

int conform_store(struct conform *world, uint64_t number, uint64_t bytes)
{
    struct conform_block *block = &world->blocks[number];
    assert_true(number < CONFORM_BLOCKS);
    if (!block->ever) {
        block->bytes = bytes;
    }
    void *memory = memory_of(block->bytes);
    conform_fill(number, memory, block->bytes);
    uint64_t op = begin(world, number, memory, false);
    struct tier_block asked = {.id = conform_id(number),
        .shape = {CODEC_BFLOAT16, 128},
        .data = memory,
        .bytes = block->bytes};
    int status = tier_store(world->tier, &asked, op);
    if (status == STATUS_PENDING) {
        block->ever = true;
        block->gone = false;
        block->stores++;
        world->live++;
    } else {
        undo(world);
    }
    return status;
}

int conform_load(
    struct conform *world, uint64_t number, const struct conform_wish *wish, uint64_t *out_op)
{
    struct conform_wish plain = {.room = 0};
    uint64_t bytes = world->blocks[number].bytes;
    wish = wish == NULL ? &plain : wish;
    uint64_t room = wish->room > 0 ? wish->room : (bytes + PAGE - 1) / PAGE * PAGE;
    room = room == 0 ? PAGE : room;
    void *memory = memory_of(room);
    if (!wish->quick) {
        memset(memory, 0xee, room);
    }
    uint64_t op = begin(world, number, memory, true);
    struct tier_wish asked = {.id = conform_id(number),
        .out_data = memory,
        .room = room,
        .part_bytes = wish->part_bytes,
        .deadline_ns = wish->deadline_ns == 0 ? CONFORM_NEVER : wish->deadline_ns,
        .urgency = wish->urgency};
    int status = tier_load(world->tier, &asked, op);
    if (status != STATUS_PENDING) {
        undo(world);
        return status;
    }
    world->ops[op].was_gone = world->blocks[number].gone;
    world->live++;
    if (out_op != NULL) {
        *out_op = op;
    }
    return status;
}

void conform_drop(struct conform *world, uint64_t number)
{
    struct tier_id id = conform_id(number);
    tier_drop(world->tier, &id);
    world->blocks[number].there = false;
    /* Of one that is being stored the tier may forget what it had, or what it gets. */
    world->blocks[number].gone = world->blocks[number].stores == 0;
}

static void compare(const struct conform *world, const struct conform_op *op, uint64_t bytes)
{
    uint64_t all = world->blocks[op->number].bytes;
    uint8_t *right = malloc(all + sizeof(uint64_t));
    assert_non_null(right);
    conform_fill(op->number, right, all);
    if (memcmp(right, op->memory, bytes) != 0) {
        fail_msg(
            "%s: wrong bytes of block %llu", world->backend->name, (unsigned long long)op->number);
    }
    free(right);
}

static void end_store(struct conform *world, const struct conform_op *op)
{
    struct conform_block *block = &world->blocks[op->number];
    block->stores--;
    if (op->status == STATUS_OK) {
        block->there = !block->gone;
        world->stored++;
        world->stored_bytes += block->bytes;
    } else {
        assert_true(
            op->status == STATUS_IO || op->status == STATUS_LIMIT || op->status == STATUS_BUSY);
        assert_true(world->forgiving || op->status != STATUS_IO);
    }
}

static void end_load(struct conform *world, const struct conform_op *op, uint64_t bytes)
{
    const struct conform_block *block = &world->blocks[op->number];
    if (op->status == STATUS_OK) {
        assert_true(block->ever);
        assert_false(op->was_gone && block->gone);
        assert_int_equal(bytes, block->bytes);
        compare(world, op, bytes);
        world->loaded++;
        world->loaded_bytes += bytes;
    } else {
        assert_true(op->status == STATUS_MISS || op->status == STATUS_IO);
        assert_true(world->forgiving || op->status != STATUS_IO);
    }
}

static void take_op_event(struct conform *world, const struct tier_done *done)
{
    assert_true(done->cookie < world->op_count);
    struct conform_op *op = &world->ops[done->cookie];
    struct tier_id id = conform_id(op->number);
    assert_true(op->live); /* it ends once, and says nothing afterwards */
    assert_memory_equal(&done->id, &id, sizeof id);
    assert_int_equal(op->is_load, done->event != TIER_STORED);
    if (done->event == TIER_PART) {
        assert_true(done->bytes > op->part_bytes);
        assert_true(done->bytes <= world->blocks[op->number].bytes);
        compare(world, op, done->bytes);
        op->parts++;
        op->part_bytes = done->bytes;
        return;
    }
    op->status = done->status;
    op->live = false;
    op->order = world->ended++;
    world->live--;
    if (op->is_load) {
        end_load(world, op, done->bytes);
    } else {
        end_store(world, op);
    }
    free(op->memory);
    op->memory = NULL;
}

static void take_block_event(struct conform *world, const struct tier_done *done)
{
    uint64_t number = done->id.key.word[0];
    assert_true(number < CONFORM_BLOCKS);
    struct tier_id id = conform_id(number);
    struct conform_block *block = &world->blocks[number];
    assert_memory_equal(&done->id, &id, sizeof id);
    assert_true(block->ever);
    if (done->event == TIER_FOUND) {
        block->found++;
        block->there = true;
        block->gone = false;
    } else {
        assert_int_equal(done->event, TIER_LOST);
        block->lost++;
        block->there = false;
    }
}

uint32_t conform_poll(struct conform *world, uint32_t room)
{
    struct tier_done done[EVENTS];
    uint32_t count = tier_poll(world->tier, moment_ns(), done, room < EVENTS ? room : EVENTS);
    assert_true(count <= room && count <= EVENTS);
    for (uint32_t i = 0; i < count; i++) {
        if (done[i].event == TIER_FOUND || done[i].event == TIER_LOST) {
            take_block_event(world, &done[i]);
        } else {
            take_op_event(world, &done[i]);
        }
    }
    return count;
}

void conform_wait(struct conform *world)
{
    uint64_t deadline = moment_ns() + CONFORM_WAIT_NS;
    while (conform_poll(world, EVENTS) == 0) {
        struct pollfd wait = {.fd = tier_fd(world->tier), .events = POLLIN};
        uint64_t now = moment_ns();
        if (now > deadline || wait.fd < 0) {
            fail_msg("%s: nothing came", world->backend->name);
        }
        assert_true(poll(&wait, 1, (int)((deadline - now) / 1000000) + 1) >= 0);
    }
}

void conform_settle(struct conform *world)
{
    while (world->live > 0) {
        conform_wait(world);
    }
    while (conform_poll(world, EVENTS) > 0) {
    }
}

/* Busy, or at a limit for now: other things have to end first. */
static bool is_later(const struct conform *world, int status, uint64_t deadline)
{
    struct timespec pause = {.tv_nsec = 1000000};
    if (status != STATUS_BUSY && status != STATUS_LIMIT) {
        return false;
    }
    assert_true(moment_ns() < deadline);
    if (world->live == 0) {
        (void)nanosleep(&pause, NULL); /* the tier makes room by itself */
    }
    return true;
}

int conform_store_now(struct conform *world, uint64_t number, uint64_t bytes)
{
    uint64_t deadline = moment_ns() + CONFORM_WAIT_NS;
    for (;;) {
        int status = conform_store(world, number, bytes);
        uint64_t op = world->op_count - 1;
        conform_settle(world);
        if (status == STATUS_PENDING) {
            status = world->ops[op].status;
        }
        if (!is_later(world, status, deadline)) {
            return status;
        }
    }
}

int conform_load_now(struct conform *world, uint64_t number)
{
    uint64_t deadline = moment_ns() + CONFORM_WAIT_NS;
    for (;;) {
        uint64_t op = 0;
        int status = conform_load(world, number, NULL, &op);
        conform_settle(world);
        if (status == STATUS_PENDING) {
            return world->ops[op].status;
        }
        if (!is_later(world, status, deadline)) {
            return status;
        }
    }
}

void conform_wait_found(struct conform *world, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count;) {
        if (world->blocks[i].found > 0 || !world->blocks[i].there) {
            i++;
        } else {
            conform_wait(world);
        }
    }
}

struct tier_health conform_health(const struct conform *world)
{
    struct tier_health health;
    world->tier->ops->health(world->tier, &health);
    return health;
}

uint64_t conform_size(struct conform *world, uint64_t most)
{
    uint64_t word = check_random(&world->random);
    uint64_t top = most >> (word >> 60 & 7);
    return 1 + (word & UINT64_C(0xffffffffffff)) % (top == 0 ? 1 : top);
}
