/* fetch_batch: see fetch_batch.h. Two fixed tables: batches, linked by session, and waits, linked
 * by batch and by read. */
#include "sidecar/block/fetch_batch.h"

#include "shm/status.h"

#include <assert.h>

#define LOOKS 64u /* at those who wait for one read */
#define NONE FETCH_BATCH_NONE

uint64_t fetch_batch_arena_bytes(uint32_t waits_max, uint32_t reads_max, uint32_t sessions_max)
{
    return arena_bytes(FETCH_BATCH_MAX, sizeof(struct fetch_batch)) +
           arena_bytes(waits_max, sizeof(struct fetch_wait)) +
           arena_bytes(reads_max, sizeof(uint32_t)) +
           arena_bytes(sessions_max, sizeof(struct fetch_batch_session)) +
           deadline_arena_bytes(FETCH_BATCH_MAX);
}

void fetch_batch_open(struct fetch_batches *batches, uint32_t waits_max, uint32_t reads_max,
    uint32_t sessions_max, _Atomic uint64_t *counters, struct arena *arena)
{
    *batches = (struct fetch_batches){
        .batches = arena_take(arena, FETCH_BATCH_MAX, sizeof(struct fetch_batch)),
        .waits = arena_take(arena, waits_max, sizeof(struct fetch_wait)),
        .of_read = arena_take(arena, reads_max, sizeof(uint32_t)),
        .sessions = arena_take(arena, sessions_max, sizeof(struct fetch_batch_session)),
        .counters = counters,
    };
    deadline_open(&batches->deadlines, FETCH_BATCH_MAX, arena);
    for (uint32_t i = 0; i < FETCH_BATCH_MAX; i++) {
        batches->batches[i].after = i + 1 < FETCH_BATCH_MAX ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i < waits_max; i++) {
        batches->waits[i].batch_after = i + 1 < waits_max ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i < reads_max; i++) {
        batches->of_read[i] = NONE;
    }
    for (uint32_t i = 0; i < sessions_max; i++) {
        batches->sessions[i].first = NONE;
    }
}

uint32_t fetch_batch_begin(struct fetch_batches *batches, const struct fetch_ask *ask)
{
    struct fetch_batch_session *session = &batches->sessions[ask->session];
    uint32_t at = batches->free_batch;
    if (at == NONE || session->count == FETCH_BATCH_A_SESSION) {
        return NONE;
    }
    batches->free_batch = batches->batches[at].after;
    batches->batches[at] = (struct fetch_batch){
        .ask = *ask,
        .miss = ask->blocks,
        .first_wait = NONE,
        .before = NONE,
        .after = session->first,
    };
    if (session->first != NONE) {
        batches->batches[session->first].before = at;
    }
    session->first = at;
    session->count++;
    deadline_set(&batches->deadlines, at, ask->deadline_ns);
    return at;
}

/* A wait of the session for this read, among the last few. */
static uint32_t find_wait(const struct fetch_batches *batches, uint32_t session, uint32_t read)
{
    uint32_t at = batches->of_read[read];
    for (uint32_t i = 0; i < LOOKS && at != NONE; i++) {
        if (batches->batches[batches->waits[at].batch].ask.session == session) {
            return at;
        }
        at = batches->waits[at].read_after;
    }
    return NONE;
}

/* Take a wait out of every list. */
static void cut(struct fetch_batches *batches, uint32_t at)
{
    struct fetch_wait *wait = &batches->waits[at];
    struct fetch_batch *batch = &batches->batches[wait->batch];
    if (wait->batch_before != NONE) {
        batches->waits[wait->batch_before].batch_after = wait->batch_after;
    } else {
        batch->first_wait = wait->batch_after;
    }
    if (wait->batch_after != NONE) {
        batches->waits[wait->batch_after].batch_before = wait->batch_before;
    }
    if (wait->read_before != NONE) {
        batches->waits[wait->read_before].read_after = wait->read_after;
    } else {
        batches->of_read[wait->read] = wait->read_after;
    }
    if (wait->read_after != NONE) {
        batches->waits[wait->read_after].read_before = wait->read_before;
    }
    assert(batch->waits > 0);
    batch->waits--;
    if (!wait->again) {
        uint32_t other = find_wait(batches, batch->ask.session, wait->read);
        assert(batches->sessions[batch->ask.session].waits > 0);
        if (other != NONE) {
            batches->waits[other].again = false; /* it stands for the slot now */
        } else {
            batches->sessions[batch->ask.session].waits--;
        }
    }
    wait->batch_after = batches->free_wait;
    batches->free_wait = at;
}

void fetch_batch_forget(struct fetch_batches *batches, uint32_t at)
{
    struct fetch_batch *batch = &batches->batches[at];
    struct fetch_batch_session *session = &batches->sessions[batch->ask.session];
    while (batch->first_wait != NONE) {
        cut(batches, batch->first_wait);
    }
    if (batch->before != NONE) {
        batches->batches[batch->before].after = batch->after;
    } else {
        session->first = batch->after;
    }
    if (batch->after != NONE) {
        batches->batches[batch->after].before = batch->before;
    }
    assert(session->count > 0);
    session->count--;
    batches->unsent -= batch->unsent ? 1 : 0;
    deadline_drop(&batches->deadlines, at);
    *batch = (struct fetch_batch){.after = batches->free_batch};
    batches->free_batch = at;
}

/* All is settled: say so, now or when there is room. */
static void answer(struct fetch_batches *batches, uint32_t at, const struct fetch_answers *answers)
{
    struct fetch_batch *batch = &batches->batches[at];
    assert(batch->closed && batch->waits == 0);
    uint32_t hot = batch->miss;
    int status = hot == batch->ask.blocks ? STATUS_OK : STATUS_MISS;
    deadline_drop(&batches->deadlines, at);
    if (answers->done(answers->context, &batch->ask, status, hot)) {
        fetch_batch_forget(batches, at);
    } else if (!batch->unsent) {
        batch->unsent = true;
        batches->unsent++;
    }
}

void fetch_batch_close(
    struct fetch_batches *batches, uint32_t at, const struct fetch_answers *answers)
{
    struct fetch_batch *batch = &batches->batches[at];
    assert(!batch->closed && batch->taken == batch->ask.blocks);
    batch->closed = true;
    if (batch->waits == 0) {
        answer(batches, at, answers);
    }
}

bool fetch_batch_waits(const struct fetch_batches *batches, uint32_t session, uint32_t read)
{
    return find_wait(batches, session, read) != NONE;
}

uint32_t fetch_batch_wait(
    struct fetch_batches *batches, uint32_t batch, uint32_t number, uint32_t read)
{
    uint32_t at = batches->free_wait;
    if (at == NONE) {
        return NONE;
    }
    struct fetch_batch *owner = &batches->batches[batch];
    batches->free_wait = batches->waits[at].batch_after;
    batches->waits[at] = (struct fetch_wait){
        .batch = batch,
        .number = number,
        .read = read,
        .batch_before = NONE,
        .batch_after = owner->first_wait,
        .read_before = NONE,
        .read_after = batches->of_read[read],
        .again = fetch_batch_waits(batches, owner->ask.session, read),
    };
    if (owner->first_wait != NONE) {
        batches->waits[owner->first_wait].batch_before = at;
    }
    if (batches->of_read[read] != NONE) {
        batches->waits[batches->of_read[read]].read_before = at;
    }
    owner->first_wait = at;
    batches->of_read[read] = at;
    owner->waits++;
    batches->sessions[owner->ask.session].waits += batches->waits[at].again ? 0 : 1;
    return at;
}

void fetch_batch_miss(struct fetch_batches *batches, uint32_t at, uint32_t number)
{
    struct fetch_batch *batch = &batches->batches[at];
    if (number < batch->miss) {
        batch->miss = number;
    }
}

void fetch_batch_settle(
    struct fetch_batches *batches, uint32_t wait, bool hot, const struct fetch_answers *answers)
{
    uint32_t at = batches->waits[wait].batch;
    if (!hot) {
        fetch_batch_miss(batches, at, batches->waits[wait].number);
    }
    cut(batches, wait);
    if (batches->batches[at].closed && batches->batches[at].waits == 0) {
        answer(batches, at, answers);
    }
}

void fetch_batch_hot(struct fetch_batches *batches, uint32_t at, const struct fetch_part *part,
    const struct fetch_answers *answers)
{
    struct fetch_batch *batch = &batches->batches[at];
    if (batch->ask.part_bytes > 0) {
        batch->parts++;
        answers->part(answers->context, &batch->ask, part);
    }
}

bool fetch_batch_part(struct fetch_batches *batches, uint32_t at, const struct fetch_part *part,
    bool whole, const struct fetch_answers *answers)
{
    struct fetch_wait *wait = &batches->waits[at];
    const struct fetch_batch *batch = &batches->batches[wait->batch];
    if (wait->told || batch->ask.part_bytes == 0 ||
        (!whole && part->bytes < batch->ask.part_bytes)) {
        return false;
    }
    wait->told = true;
    struct fetch_part mine = *part;
    mine.number = wait->number;
    fetch_batch_hot(batches, wait->batch, &mine, answers);
    return true;
}

bool fetch_batch_wants(const struct fetch_batches *batches, uint32_t read)
{
    uint32_t at = batches->of_read[read];
    for (; at != NONE; at = batches->waits[at].read_after) {
        /* Behind a block that will not be hot, a block of the same prefix is of no use. */
        if (batches->waits[at].number < batches->batches[batches->waits[at].batch].miss) {
            return true;
        }
    }
    return false;
}

bool fetch_batch_cancel(
    struct fetch_batches *batches, uint32_t session, uint32_t seat, uint64_t cookie)
{
    uint32_t at = batches->sessions[session].first;
    for (; at != NONE; at = batches->batches[at].after) {
        const struct fetch_ask *ask = &batches->batches[at].ask;
        if (ask->seat == seat && ask->cookie == cookie && !ask->event) {
            fetch_batch_forget(batches, at);
            return true;
        }
    }
    return false;
}

void fetch_batch_drop(struct fetch_batches *batches, uint32_t session)
{
    while (batches->sessions[session].first != NONE) {
        fetch_batch_forget(batches, batches->sessions[session].first);
    }
}

/* The deadline is over: what has not come counts as missing. Before its last block came a batch
 * is not answered. */
static void end_late(
    struct fetch_batches *batches, uint32_t at, const struct fetch_answers *answers)
{
    struct fetch_batch *batch = &batches->batches[at];
    counter_add(batches->counters, COUNTER_fetches_late, batch->waits);
    while (batch->first_wait != NONE) {
        fetch_batch_miss(batches, at, batches->waits[batch->first_wait].number);
        cut(batches, batch->first_wait);
    }
    deadline_drop(&batches->deadlines, at);
    batch->late = true;
    if (batch->closed) {
        answer(batches, at, answers);
    }
}

static void send_again(struct fetch_batches *batches, const struct fetch_answers *answers)
{
    for (uint32_t at = 0; at < FETCH_BATCH_MAX && batches->unsent > 0; at++) {
        if (batches->batches[at].unsent) {
            answer(batches, at, answers);
        }
    }
}

uint64_t fetch_batch_tick(
    struct fetch_batches *batches, uint64_t now_ns, const struct fetch_answers *answers)
{
    if (batches->unsent > 0) {
        send_again(batches, answers);
    }
    uint64_t at_ns = UINT64_MAX;
    for (uint32_t i = 0; i < FETCH_BATCH_TICK_MAX; i++) {
        uint32_t at = deadline_first(&batches->deadlines, &at_ns);
        if (at == DEADLINE_NONE || at_ns > now_ns) {
            return at_ns;
        }
        end_late(batches, at, answers);
    }
    (void)deadline_first(&batches->deadlines, &at_ns);
    return at_ns;
}

uint32_t fetch_batch_owed(const struct fetch_batches *batches, uint32_t session, uint32_t seat)
{
    uint32_t owed = 0;
    uint32_t at = batches->sessions[session].first;
    for (; at != NONE; at = batches->batches[at].after) {
        const struct fetch_batch *batch = &batches->batches[at];
        if (batch->ask.seat == seat && !batch->ask.event) {
            owed += 1 + (batch->ask.part_bytes > 0 ? batch->ask.blocks - batch->parts : 0);
        }
    }
    return owed;
}
