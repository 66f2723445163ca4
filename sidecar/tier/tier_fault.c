/* tier_fault: see tier_fault.h. */
#include "sidecar/tier/tier_fault.h"

#include "shm/status.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define OPERATIONS 4096u /* under way at one time; more are refused with BUSY */
#define EVENTS 16384u /* held back, or made here; beyond, nothing is taken from the other tier */
#define RATE_WHOLE 65536u

/* What is going to happen to an operation that the other tier works on. */
enum fate { FATE_NONE, FATE_SPOIL_AFTER, FATE_LOSE_AFTER, FATE_MISS };

struct operation {
    uint64_t cookie; /* the caller's */
    uint64_t due_poll; /* of its last event: PART stays before LOADED */
    enum fate fate;
    bool tear;
    bool used;
};

struct event {
    struct tier_done done;
    uint64_t due_poll;
};

struct tier_fault {
    struct tier tier;
    struct tier_fault_options options;
    uint64_t random;
    struct operation *operations; /* owned; the cookie that the other tier gets is an index */
    uint32_t free_count;
    uint32_t *free_list; /* owned */
    struct event *events; /* owned; in the order in which they came */
    uint32_t event_count;
    uint64_t polls;
    uint64_t order_due; /* STORED, FOUND and LOST stay in their order */
    uint64_t failed; /* operations that failed by our doing */
    uint64_t refused; /* stores, likewise */
    int bell; /* owned; readable while we hold events */
    int fd; /* owned; an epoll of the bell and of the other tier's descriptor */
};

static struct tier_fault *of(struct tier *tier)
{
    return (struct tier_fault *)tier;
}

static const struct tier_fault *of_const(const struct tier *tier)
{
    return (const struct tier_fault *)tier;
}

/* SplitMix64. */
static uint64_t draw(struct tier_fault *fault)
{
    uint64_t word = fault->random += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

static bool strikes(struct tier_fault *fault, uint32_t rate)
{
    return rate > 0 && draw(fault) % RATE_WHOLE < rate;
}

static void ring(const struct tier_fault *fault)
{
    uint64_t one = 1;
    (void)!write(fault->bell, &one, sizeof one); /* full is readable too */
}

static uint64_t due_poll(struct tier_fault *fault, uint64_t not_before)
{
    uint64_t due = fault->polls;
    if (fault->options.delay_polls > 0 && strikes(fault, fault->options.rates.delay)) {
        due += 1 + draw(fault) % fault->options.delay_polls;
    }
    return due > not_before ? due : not_before;
}

static void hold(struct tier_fault *fault, const struct tier_done *done, uint64_t due)
{
    assert(fault->event_count < EVENTS);
    fault->events[fault->event_count++] = (struct event){.done = *done, .due_poll = due};
}

static void say_lost(struct tier_fault *fault, const struct tier_id *id)
{
    struct tier_done lost = {.id = *id, .event = TIER_LOST, .status = STATUS_OK};
    fault->order_due = due_poll(fault, fault->order_due);
    hold(fault, &lost, fault->order_due);
}

/* Is there room for what one more operation can bring? */
static bool has_room(const struct tier_fault *fault)
{
    return fault->free_count > 0 && fault->event_count + 2 * OPERATIONS < EVENTS;
}

/* An operation that fails without the other tier's knowing. */
static int fail(
    struct tier_fault *fault, const struct tier_id *id, uint64_t cookie, enum tier_event event)
{
    struct tier_done done = {.cookie = cookie, .id = *id, .event = event, .status = STATUS_IO};
    uint64_t due = due_poll(fault, event == TIER_STORED ? fault->order_due : 0);
    fault->order_due = event == TIER_STORED ? due : fault->order_due;
    fault->failed++;
    hold(fault, &done, due);
    ring(fault);
    return STATUS_PENDING;
}

static uint32_t begin(struct tier_fault *fault, uint64_t cookie, enum fate fate, bool tear)
{
    uint32_t index = fault->free_list[--fault->free_count];
    assert(!fault->operations[index].used);
    fault->operations[index] =
        (struct operation){.cookie = cookie, .fate = fate, .tear = tear, .used = true};
    return index;
}

static void end(struct tier_fault *fault, uint32_t index)
{
    assert(fault->operations[index].used);
    fault->operations[index].used = false;
    fault->free_list[fault->free_count++] = index;
}

/* After the other tier answered: keep the operation if it goes on. */
static int answer(struct tier_fault *fault, uint32_t index, int status)
{
    if (status != STATUS_PENDING) {
        end(fault, index);
    } else if (tier_fd(fault->options.inner) < 0) {
        ring(fault);
    }
    return status;
}

/* Spoil the medium, or, where that cannot be done, have the block miss by dropping it. */
static bool spoil(struct tier_fault *fault, const struct tier_id *id, bool tear)
{
    return fault->options.spoil != NULL &&
           fault->options.spoil(fault->options.context, id, tear, draw(fault));
}

static int store(struct tier *tier, const struct tier_block *block, uint64_t cookie)
{
    struct tier_fault *fault = of(tier);
    const struct tier_fault_rates *rates = &fault->options.rates;
    if (!has_room(fault) || strikes(fault, rates->busy)) {
        fault->refused++;
        return STATUS_BUSY;
    }
    if (strikes(fault, rates->fail_store)) {
        return fail(fault, &block->id, cookie, TIER_STORED);
    }
    bool tear = strikes(fault, rates->tear);
    enum fate fate = tear || strikes(fault, rates->corrupt) ? FATE_SPOIL_AFTER : FATE_NONE;
    fate = strikes(fault, rates->lose) ? FATE_LOSE_AFTER : fate;
    uint32_t index = begin(fault, cookie, fate, tear);
    return answer(fault, index, tier_store(fault->options.inner, block, index));
}

static int load(struct tier *tier, const struct tier_wish *wish, uint64_t cookie)
{
    struct tier_fault *fault = of(tier);
    const struct tier_fault_rates *rates = &fault->options.rates;
    if (!has_room(fault) || strikes(fault, rates->busy)) {
        return STATUS_BUSY;
    }
    if (strikes(fault, rates->fail_load)) {
        return fail(fault, &wish->id, cookie, TIER_LOADED);
    }
    if (strikes(fault, rates->lose)) {
        tier_drop(fault->options.inner, &wish->id);
        return STATUS_MISS;
    }
    bool tear = strikes(fault, rates->tear);
    bool spoils = tear || strikes(fault, rates->corrupt);
    enum fate fate = spoils && !spoil(fault, &wish->id, tear) ? FATE_MISS : FATE_NONE;
    uint32_t index = begin(fault, cookie, fate, tear);
    return answer(fault, index, tier_load(fault->options.inner, wish, index));
}

static void drop(struct tier *tier, const struct tier_id *id)
{
    tier_drop(of(tier)->options.inner, id);
}

/* A block that was stored: what happens to it now. */
static void suffer(
    struct tier_fault *fault, const struct operation *operation, const struct tier_id *id)
{
    if (operation->fate == FATE_SPOIL_AFTER && !spoil(fault, id, operation->tear)) {
        tier_drop(fault->options.inner, id);
    }
    if (operation->fate == FATE_LOSE_AFTER) {
        tier_drop(fault->options.inner, id);
        say_lost(fault, id);
    }
}

/* One event of the other tier. */
static void receive(struct tier_fault *fault, const struct tier_done *inner)
{
    struct tier_done done = *inner;
    if (done.event == TIER_FOUND || done.event == TIER_LOST) {
        fault->order_due = due_poll(fault, fault->order_due);
        hold(fault, &done, fault->order_due);
        return;
    }
    assert(done.cookie < OPERATIONS);
    uint32_t index = (uint32_t)done.cookie;
    struct operation *operation = &fault->operations[index];
    done.cookie = operation->cookie;
    if (done.event == TIER_STORED) {
        fault->order_due = due_poll(fault, fault->order_due);
        hold(fault, &done, fault->order_due);
        if (done.status == STATUS_OK) {
            suffer(fault, operation, &done.id);
        }
    } else {
        if (done.event == TIER_LOADED && operation->fate == FATE_MISS) {
            done.status = STATUS_MISS;
            done.bytes = 0;
        }
        operation->due_poll = due_poll(fault, operation->due_poll);
        hold(fault, &done, operation->due_poll);
    }
    if (done.event != TIER_PART) {
        end(fault, index);
    }
}

/* Hand out what is due; what is not stays, in its order. */
static uint32_t release(struct tier_fault *fault, struct tier_done *out_done, uint32_t room)
{
    uint32_t count = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fault->event_count; i++) {
        if (count < room && fault->events[i].due_poll <= fault->polls) {
            out_done[count++] = fault->events[i].done;
        } else {
            fault->events[kept++] = fault->events[i];
        }
    }
    fault->event_count = kept;
    return count;
}

static uint32_t poll(struct tier *tier, uint64_t now_ns, struct tier_done *out_done, uint32_t room)
{
    struct tier_fault *fault = of(tier);
    struct tier_done done[64];
    uint64_t rung;
    uint32_t got = 0;
    (void)!read(fault->bell, &rung, sizeof rung);
    /* An event may bring one more of our own. */
    while (fault->event_count + 2 * sizeof done / sizeof done[0] < EVENTS) {
        got = tier_poll(fault->options.inner, now_ns, done, sizeof done / sizeof done[0]);
        for (uint32_t i = 0; i < got; i++) {
            receive(fault, &done[i]);
        }
        if (got < sizeof done / sizeof done[0]) {
            break;
        }
    }
    uint32_t count = release(fault, out_done, room);
    fault->polls++;
    if (fault->event_count > 0 || got == sizeof done / sizeof done[0]) {
        ring(fault);
    }
    return count;
}

static int descriptor(const struct tier *tier)
{
    return of_const(tier)->fd;
}

static void describe(const struct tier *tier, char *out_text, size_t text_bytes)
{
    const struct tier *inner = of_const(tier)->options.inner;
    char text[TIER_WHY];
    inner->ops->describe(inner, text, sizeof text);
    (void)snprintf(out_text, text_bytes, "fault: spoils, for tests, what follows; %s", text);
}

static void health(const struct tier *tier, struct tier_health *out_health)
{
    const struct tier_fault *fault = of_const(tier);
    fault->options.inner->ops->health(fault->options.inner, out_health);
    out_health->errors += fault->failed;
    out_health->refused += fault->refused;
}

static void close_fault(struct tier *tier, uint64_t wait_ns)
{
    struct tier_fault *fault = of(tier);
    if (fault->fd >= 0) {
        (void)close(fault->fd);
    }
    if (fault->bell >= 0) {
        (void)close(fault->bell);
    }
    if (fault->options.inner != NULL) {
        tier_close(fault->options.inner, wait_ns);
    }
    free(fault->operations);
    free(fault->free_list);
    free(fault->events);
    free(fault);
}

static const struct tier_ops ops = {.name = "fault",
    .store = store,
    .load = load,
    .drop = drop,
    .poll = poll,
    .fd = descriptor,
    .describe = describe,
    .health = health,
    .close = close_fault};

/* One descriptor for the other tier's and ours. */
static bool open_descriptor(struct tier_fault *fault)
{
    struct epoll_event readable = {.events = EPOLLIN};
    int inner = tier_fd(fault->options.inner);
    fault->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fault->fd = epoll_create1(EPOLL_CLOEXEC);
    return fault->bell >= 0 && fault->fd >= 0 &&
           epoll_ctl(fault->fd, EPOLL_CTL_ADD, fault->bell, &readable) == 0 &&
           (inner < 0 || epoll_ctl(fault->fd, EPOLL_CTL_ADD, inner, &readable) == 0);
}

int tier_fault_open(const struct tier_fault_options *options, struct tier **out_tier)
{
    struct tier_fault *fault = calloc(1, sizeof *fault);
    if (fault == NULL) {
        return STATUS_NO_MEMORY;
    }
    fault->tier.ops = &ops;
    fault->options = *options;
    fault->random = options->seed;
    fault->operations = calloc(OPERATIONS, sizeof *fault->operations);
    fault->free_list = calloc(OPERATIONS, sizeof *fault->free_list);
    fault->events = calloc(EVENTS, sizeof *fault->events);
    if (!open_descriptor(fault) || fault->operations == NULL || fault->free_list == NULL ||
        fault->events == NULL) {
        fault->options.inner = NULL; /* it stays the caller's */
        close_fault(&fault->tier, 0);
        return STATUS_NO_MEMORY;
    }
    while (fault->free_count < OPERATIONS) {
        fault->free_list[fault->free_count] = fault->free_count;
        fault->free_count++;
    }
    ring(fault); /* what the other tier found is there already */
    *out_tier = &fault->tier;
    return STATUS_OK;
}

void tier_fault_set(struct tier *tier, const struct tier_fault_rates *rates)
{
    of(tier)->options.rates = *rates;
}
