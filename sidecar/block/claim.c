/* claim: see claim.h. Two fixed tables; entries are linked by their numbers: claims in hash buckets
 * and by session, waits by claim and by session. */
#include "sidecar/block/claim.h"

#include "shm/status.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <xxhash.h>

static uint32_t buckets_for(uint32_t count)
{
    uint32_t buckets = 16;
    while (buckets < count) {
        buckets *= 2;
    }
    return buckets;
}

uint64_t claim_arena_bytes(const struct claims_limits *limits)
{
    return arena_bytes(limits->claims_max, sizeof(struct claim_entry)) +
           arena_bytes(limits->waiters_max, sizeof(struct claim_wait_entry)) +
           arena_bytes(limits->sessions_max, sizeof(struct claim_session)) +
           arena_bytes(buckets_for(limits->claims_max), sizeof(uint32_t)) +
           deadline_arena_bytes(limits->claims_max + limits->waiters_max);
}

void claim_open(struct claims *claims, const struct claims_limits *limits,
    _Atomic uint64_t *counters, struct arena *arena)
{
    uint32_t buckets = buckets_for(limits->claims_max);
    *claims = (struct claims){
        .limits = *limits,
        .counters = counters,
        .entries = arena_take(arena, limits->claims_max, sizeof(struct claim_entry)),
        .waits = arena_take(arena, limits->waiters_max, sizeof(struct claim_wait_entry)),
        .sessions = arena_take(arena, limits->sessions_max, sizeof(struct claim_session)),
        .buckets = arena_take(arena, buckets, sizeof(uint32_t)),
        .bucket_mask = buckets - 1,
    };
    deadline_open(&claims->deadlines, limits->claims_max + limits->waiters_max, arena);
    for (uint32_t i = 0; i < buckets; i++) {
        claims->buckets[i] = CLAIM_NONE;
    }
    for (uint32_t i = 0; i < limits->claims_max; i++) {
        claims->entries[i].chain = i + 1 < limits->claims_max ? i + 1 : CLAIM_NONE;
    }
    for (uint32_t i = 0; i < limits->waiters_max; i++) {
        claims->waits[i].after = i + 1 < limits->waiters_max ? i + 1 : CLAIM_NONE;
    }
    for (uint32_t i = 0; i < limits->sessions_max; i++) {
        claims->sessions[i] = (struct claim_session){.claims = CLAIM_NONE, .waits = CLAIM_NONE};
    }
}

static uint32_t bucket_of(const struct claims *claims, const struct key *key, uint16_t space)
{
    uint64_t hash = XXH3_64bits_withSeed(key, sizeof *key, claims->limits.seed ^ space);
    return (uint32_t)hash & claims->bucket_mask;
}

static uint32_t find(const struct claims *claims, const struct key *key, uint16_t space)
{
    uint32_t at = claims->buckets[bucket_of(claims, key, space)];
    while (at != CLAIM_NONE) {
        const struct claim_entry *entry = &claims->entries[at];
        if (entry->space == space && memcmp(&entry->key, key, sizeof *key) == 0) {
            break;
        }
        at = entry->chain;
    }
    return at;
}

static void session_add(struct claims *claims, uint32_t at, uint32_t session)
{
    struct claim_session *owner = &claims->sessions[session];
    struct claim_entry *entry = &claims->entries[at];
    entry->session = session;
    entry->before = CLAIM_NONE;
    entry->after = owner->claims;
    if (owner->claims != CLAIM_NONE) {
        claims->entries[owner->claims].before = at;
    }
    owner->claims = at;
    owner->claim_count++;
}

static void session_cut(struct claims *claims, uint32_t at)
{
    const struct claim_entry *entry = &claims->entries[at];
    struct claim_session *owner = &claims->sessions[entry->session];
    if (entry->before != CLAIM_NONE) {
        claims->entries[entry->before].after = entry->after;
    } else {
        owner->claims = entry->after;
    }
    if (entry->after != CLAIM_NONE) {
        claims->entries[entry->after].before = entry->before;
    }
    assert(owner->claim_count > 0);
    owner->claim_count--;
}

/* Take a wait out of every list; it is free then. Returns what it was. */
static struct claim_waiter wait_cut(struct claims *claims, uint32_t at)
{
    struct claim_wait_entry *wait = &claims->waits[at];
    struct claim_entry *entry = &claims->entries[wait->claim];
    struct claim_session *owner = &claims->sessions[wait->waiter.session];
    if (wait->before != CLAIM_NONE) {
        claims->waits[wait->before].after = wait->after;
    } else {
        entry->first_wait = wait->after;
    }
    if (wait->after != CLAIM_NONE) {
        claims->waits[wait->after].before = wait->before;
    } else {
        entry->last_wait = wait->before;
    }
    if (wait->session_before != CLAIM_NONE) {
        claims->waits[wait->session_before].session_after = wait->session_after;
    } else {
        owner->waits = wait->session_after;
    }
    if (wait->session_after != CLAIM_NONE) {
        claims->waits[wait->session_after].session_before = wait->session_before;
    }
    assert(owner->wait_count > 0);
    owner->wait_count--;
    deadline_drop(&claims->deadlines, claims->limits.claims_max + at);
    wait->after = claims->free_wait;
    claims->free_wait = at;
    return wait->waiter;
}

/* The claim is no more; it has no waits. */
static void end(struct claims *claims, uint32_t at)
{
    struct claim_entry *entry = &claims->entries[at];
    assert(entry->first_wait == CLAIM_NONE);
    uint32_t *link = &claims->buckets[entry->bucket];
    while (*link != at) {
        link = &claims->entries[*link].chain;
    }
    *link = entry->chain;
    session_cut(claims, at);
    deadline_drop(&claims->deadlines, at);
    entry->chain = claims->free_entry;
    claims->free_entry = at;
}

/* Its holder does not compute it after all: the first waiter does, or nobody. */
static void pass_on(
    struct claims *claims, uint32_t at, uint64_t now_ns, const struct claim_answers *answers)
{
    struct claim_entry *entry = &claims->entries[at];
    if (entry->first_wait == CLAIM_NONE) {
        end(claims, at);
        return;
    }
    struct claim_waiter next = wait_cut(claims, entry->first_wait);
    session_cut(claims, at);
    session_add(claims, at, next.session);
    deadline_set(&claims->deadlines, at, now_ns + entry->term_ns);
    counter_add(claims->counters, COUNTER_claims_passed, 1);
    answers->answer(answers->context, &next, &entry->key, entry->space, STATUS_MINE);
}

int claim_take(struct claims *claims, const struct key *key, uint16_t space, uint32_t session,
    uint64_t now_ns, uint64_t expires_ns)
{
    assert(session < claims->limits.sessions_max && expires_ns >= now_ns);
    uint32_t at = find(claims, key, space);
    if (at != CLAIM_NONE) {
        return claims->entries[at].session == session ? STATUS_MINE : STATUS_OTHER;
    }
    if (claims->sessions[session].claim_count >= claims->limits.claims_per_session ||
        claims->free_entry == CLAIM_NONE) {
        return STATUS_LIMIT;
    }
    at = claims->free_entry;
    claims->free_entry = claims->entries[at].chain;
    uint32_t bucket = bucket_of(claims, key, space);
    claims->entries[at] = (struct claim_entry){
        .key = *key,
        .term_ns = expires_ns - now_ns,
        .chain = claims->buckets[bucket],
        .bucket = bucket,
        .first_wait = CLAIM_NONE,
        .last_wait = CLAIM_NONE,
        .space = space,
    };
    claims->buckets[bucket] = at;
    session_add(claims, at, session);
    deadline_set(&claims->deadlines, at, expires_ns);
    counter_add(claims->counters, COUNTER_claims, 1);
    return STATUS_MINE;
}

int claim_wait(
    struct claims *claims, const struct key *key, uint16_t space, const struct claim_waiter *waiter)
{
    assert(waiter->session < claims->limits.sessions_max);
    struct claim_session *owner = &claims->sessions[waiter->session];
    uint32_t claim = find(claims, key, space);
    if (claim == CLAIM_NONE) {
        return STATUS_MISS;
    }
    if (owner->wait_count >= claims->limits.waits_per_session || claims->free_wait == CLAIM_NONE) {
        return STATUS_LIMIT;
    }
    uint32_t at = claims->free_wait;
    claims->free_wait = claims->waits[at].after;
    struct claim_entry *entry = &claims->entries[claim];
    claims->waits[at] = (struct claim_wait_entry){
        .waiter = *waiter,
        .claim = claim,
        .before = entry->last_wait,
        .after = CLAIM_NONE,
        .session_before = CLAIM_NONE,
        .session_after = owner->waits,
    };
    if (entry->last_wait != CLAIM_NONE) {
        claims->waits[entry->last_wait].after = at;
    } else {
        entry->first_wait = at;
    }
    entry->last_wait = at;
    if (owner->waits != CLAIM_NONE) {
        claims->waits[owner->waits].session_before = at;
    }
    owner->waits = at;
    owner->wait_count++;
    deadline_set(&claims->deadlines, claims->limits.claims_max + at, waiter->deadline_ns);
    counter_add(claims->counters, COUNTER_waits, 1);
    return STATUS_PENDING;
}

void claim_done(struct claims *claims, const struct key *key, uint16_t space,
    const struct claim_answers *answers)
{
    uint32_t at = find(claims, key, space);
    if (at == CLAIM_NONE) {
        return;
    }
    struct claim_entry *entry = &claims->entries[at];
    while (entry->first_wait != CLAIM_NONE) {
        struct claim_waiter waiter = wait_cut(claims, entry->first_wait);
        answers->answer(answers->context, &waiter, key, space, STATUS_OK);
    }
    end(claims, at);
}

bool claim_done_where(struct claims *claims, const struct key *key, uint16_t space,
    const struct claim_filter *filter, const struct claim_answers *answers)
{
    uint32_t at = find(claims, key, space);
    if (at == CLAIM_NONE) {
        return false;
    }
    uint32_t wait = claims->entries[at].first_wait;
    while (wait != CLAIM_NONE) {
        uint32_t next = claims->waits[wait].after;
        if (filter->reads(filter->context, claims->waits[wait].waiter.session)) {
            struct claim_waiter waiter = wait_cut(claims, wait);
            answers->answer(answers->context, &waiter, key, space, STATUS_OK);
        }
        wait = next;
    }
    if (claims->entries[at].first_wait != CLAIM_NONE) {
        return true;
    }
    end(claims, at);
    return false;
}

void claim_fail(struct claims *claims, const struct key *key, uint16_t space, uint64_t now_ns,
    const struct claim_answers *answers)
{
    uint32_t at = find(claims, key, space);
    if (at != CLAIM_NONE) {
        pass_on(claims, at, now_ns, answers);
    }
}

int claim_release(struct claims *claims, const struct key *key, uint16_t space, uint32_t session,
    uint64_t now_ns, const struct claim_answers *answers)
{
    uint32_t at = find(claims, key, space);
    if (at == CLAIM_NONE || claims->entries[at].session != session) {
        return STATUS_MISS;
    }
    pass_on(claims, at, now_ns, answers);
    return STATUS_OK;
}

void claim_drop(
    struct claims *claims, uint32_t session, uint64_t now_ns, const struct claim_answers *answers)
{
    assert(session < claims->limits.sessions_max);
    struct claim_session *owner = &claims->sessions[session];
    /* The waits first, so that no claim passes on to the dead. */
    while (owner->waits != CLAIM_NONE) {
        (void)wait_cut(claims, owner->waits);
    }
    while (owner->claims != CLAIM_NONE) {
        pass_on(claims, owner->claims, now_ns, answers);
    }
}

int claim_cancel(struct claims *claims, uint32_t session, uint32_t seat, uint64_t cookie)
{
    assert(session < claims->limits.sessions_max);
    uint32_t at = claims->sessions[session].waits;
    while (at != CLAIM_NONE) {
        const struct claim_wait_entry *wait = &claims->waits[at];
        if (wait->waiter.seat == seat && wait->waiter.cookie == cookie) {
            (void)wait_cut(claims, at);
            return STATUS_OK;
        }
        at = wait->session_after;
    }
    return STATUS_MISS;
}

uint64_t claim_tick(struct claims *claims, uint64_t now_ns, const struct claim_answers *answers)
{
    uint64_t at_ns = UINT64_MAX;
    for (uint32_t i = 0; i < CLAIM_TICK_MAX; i++) {
        uint32_t number = deadline_first(&claims->deadlines, &at_ns);
        if (number == DEADLINE_NONE || at_ns > now_ns) {
            return at_ns;
        }
        if (number < claims->limits.claims_max) {
            pass_on(claims, number, now_ns, answers);
            continue;
        }
        uint32_t wait = number - claims->limits.claims_max;
        const struct claim_entry *entry = &claims->entries[claims->waits[wait].claim];
        struct claim_waiter waiter = wait_cut(claims, wait);
        counter_add(claims->counters, COUNTER_waits_late, 1);
        answers->answer(answers->context, &waiter, &entry->key, entry->space, STATUS_MISS);
    }
    (void)deadline_first(&claims->deadlines, &at_ns);
    return at_ns;
}
