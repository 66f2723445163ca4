/* tiers: see tiers.h. */
#include "sidecar/tier/tiers.h"

#include "shm/counter.h"
#include "shm/hint.h"
#include "shm/status.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define CHAINS 4096u /* a power of two: as many as namespaces are known at one time */

int tiers_open(struct tiers *out_tiers, const struct index_view *index, _Atomic uint64_t *counters)
{
    struct tiers tiers = {
        .index = index,
        .counters = counters,
        .spaces = calloc(TIERS_SPACES, sizeof *tiers.spaces),
        .chains = calloc(CHAINS, sizeof *tiers.chains),
        .loads = calloc(TIERS_LOADS, sizeof *tiers.loads),
    };
    if (tiers.spaces == NULL || tiers.chains == NULL || tiers.loads == NULL) {
        tiers_close(&tiers, 0);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < TIERS_LOADS; i++) {
        tiers.loads[i].next = i + 1 < TIERS_LOADS ? i + 1 : TIERS_NONE;
    }
    *out_tiers = tiers;
    return STATUS_OK;
}

void tiers_add(struct tiers *tiers, struct tier *tier)
{
    assert(tiers->count < TIERS_MAX);
    tiers->order[tiers->count] = tiers->count;
    tiers->tier[tiers->count++] = tier;
}

void tiers_close(struct tiers *tiers, uint64_t wait_ns)
{
    if (tiers == NULL) {
        return;
    }
    for (uint32_t i = 0; i < tiers->count; i++) {
        tier_close(tiers->tier[i], wait_ns);
    }
    free(tiers->spaces);
    free(tiers->chains);
    free(tiers->loads);
    *tiers = (struct tiers){0};
}

static uint32_t chain_of(const uint8_t *digest)
{
    uint32_t word;
    memcpy(&word, digest, sizeof word);
    return word & (CHAINS - 1);
}

static void leave_chain(struct tiers *tiers, uint32_t number)
{
    struct tiers_space *leaving = &tiers->spaces[number];
    uint16_t *link = &tiers->chains[chain_of(leaving->digest)];
    while (*link != number) {
        assert(*link != TIERS_SPACE_NONE);
        link = &tiers->spaces[*link].next;
    }
    *link = leaving->next;
}

void tiers_space(struct tiers *tiers, uint32_t number, const struct space *space, uint64_t group)
{
    assert(number != TIERS_SPACE_NONE && number < TIERS_SPACES);
    struct {
        struct space space;
        uint64_t group;
    } named = {.space = *space, .group = group};
    static_assert(sizeof named == sizeof(struct space) + 8, "no padding: its bytes are hashed");
    struct tiers_space *at = &tiers->spaces[number];
    uint8_t digest[32];
    /* Without a digest nothing of this namespace leaves the pool. */
    bool known = EVP_Digest(&named, sizeof named, digest, NULL, EVP_sha256(), NULL) == 1;
    if (known && at->known && memcmp(digest, at->digest, sizeof digest) == 0) {
        return;
    }
    if (at->known) {
        leave_chain(tiers, number);
    }
    *at = (struct tiers_space){.known = known};
    if (known) {
        memcpy(at->digest, digest, sizeof digest);
        at->shape = codec_shape_of(space);
        at->next = tiers->chains[chain_of(digest)];
        tiers->chains[chain_of(digest)] = (uint16_t)number;
    }
}

const struct tiers_space *tiers_space_of(const struct tiers *tiers, uint32_t number)
{
    assert(number < TIERS_SPACES);
    return tiers->spaces[number].known ? &tiers->spaces[number] : NULL;
}

uint32_t tiers_space_number(const struct tiers *tiers, const uint8_t *digest)
{
    uint32_t number = tiers->chains[chain_of(digest)];
    while (number != TIERS_SPACE_NONE &&
           memcmp(tiers->spaces[number].digest, digest, sizeof tiers->spaces[number].digest) != 0) {
        number = tiers->spaces[number].next;
    }
    return number;
}

int tiers_store(struct tiers *tiers, const struct tier_block *block, uint64_t cookie)
{
    int status = STATUS_IO;
    for (uint32_t i = 0; i < tiers->count; i++) {
        status = tier_store(tiers->tier[tiers->order[i]], block, cookie);
        if (status == STATUS_PENDING) {
            tiers->storing++;
        }
        if (status == STATUS_PENDING || status == STATUS_OK) {
            break;
        }
    }
    return status;
}

/* Ask the tiers that were not asked yet, the fastest first, until one takes the load. Returns
 * STATUS_PENDING, or the best of their answers: BUSY (asked again later), IO, MISS. */
static int ask(struct tiers *tiers, uint32_t at)
{
    struct tiers_load *load = &tiers->loads[at];
    int best = STATUS_MISS;
    for (uint32_t i = 0; i < tiers->count; i++) {
        uint32_t number = tiers->order[i];
        if ((load->asked >> number & 1) != 0) {
            continue;
        }
        load->asked |= 1u << number;
        int status = tier_load(tiers->tier[number], &load->wish, at);
        if (status == STATUS_PENDING) {
            return status;
        }
        if (best == STATUS_MISS || status == STATUS_BUSY) {
            best = status;
        }
    }
    return best;
}

int tiers_load(struct tiers *tiers, const struct tier_wish *wish, uint64_t cookie)
{
    uint32_t at = tiers->free_load;
    if (at == TIERS_NONE) {
        return STATUS_BUSY;
    }
    struct tiers_load *load = &tiers->loads[at];
    uint32_t next = load->next;
    *load = (struct tiers_load){.wish = *wish, .cookie = cookie, .next = next};
    int status = ask(tiers, at);
    if (status == STATUS_PENDING) {
        tiers->free_load = next;
        tiers->loading++;
    }
    return status;
}

static bool has_hint(const struct tiers *tiers, const struct key *key, uint32_t number)
{
    struct hint_place place = hint_place_of(key, tiers->index->hint_mask);
    uint32_t position = 0;
    while (position < 16) {
        uint32_t found = hint_next(tiers->index, &place, HINT_COLD, &position);
        if (found != HINT_NONE && (number == TIERS_NONE || found == number)) {
            return true;
        }
    }
    return false;
}

bool tiers_has(const struct tiers *tiers, const struct key *key)
{
    return has_hint(tiers, key, TIERS_NONE);
}

/* The block is known on tier `number`. Its hint may be there already: equal keys of two namespaces
 * share one. Without room for it the block is on the tier and nobody knows. */
static void note_cold(struct tiers *tiers, const struct key *key, uint32_t number)
{
    if (has_hint(tiers, key, number)) {
        return;
    }
    if (hint_add(tiers->index, key, HINT_COLD, number)) {
        tiers->cold_blocks++;
    } else {
        counter_add(tiers->counters, COUNTER_hints_full, 1);
    }
}

static void note_lost(struct tiers *tiers, const struct key *key, uint32_t number)
{
    if (hint_remove(tiers->index, key, HINT_COLD, number)) {
        tiers->cold_blocks--;
    }
}

/* A load ended on one tier. Returns true if another one has it now. */
static bool goes_on(struct tiers *tiers, uint64_t now_ns, struct tier_done *done)
{
    uint32_t at = (uint32_t)done->cookie;
    struct tiers_load *load = &tiers->loads[at];
    bool failed = done->status == STATUS_MISS || done->status == STATUS_IO;
    if (failed && !load->told && now_ns < load->wish.deadline_ns &&
        ask(tiers, at) == STATUS_PENDING) {
        return true;
    }
    done->cookie = load->cookie;
    load->next = tiers->free_load;
    tiers->free_load = at;
    tiers->loading--;
    return false;
}

/* What an event of tier `number` changes here. Returns false if the caller need not know of it. */
static bool note(struct tiers *tiers, uint32_t number, uint64_t now_ns, struct tier_done *done)
{
    switch (done->event) {
    case TIER_STORED:
        tiers->storing--;
        if (done->status == STATUS_OK) {
            note_cold(tiers, &done->id.key, number);
        }
        return true;
    case TIER_PART:
        tiers->loads[done->cookie].told = true;
        done->cookie = tiers->loads[done->cookie].cookie;
        return true;
    case TIER_LOADED:
        return !goes_on(tiers, now_ns, done);
    case TIER_FOUND:
        note_cold(tiers, &done->id.key, number);
        return true;
    case TIER_LOST:
        note_lost(tiers, &done->id.key, number);
        return true;
    }
    return false;
}

uint32_t tiers_poll(struct tiers *tiers, uint64_t now_ns, struct tier_done *out_done, uint32_t room)
{
    uint32_t count = 0;
    bool trouble = false;
    for (uint32_t i = 0; i < tiers->count && count < room; i++) {
        uint32_t number = (tiers->turn + i) % tiers->count;
        uint32_t came = tier_poll(tiers->tier[number], now_ns, &out_done[count], room - count);
        uint32_t kept = count;
        for (uint32_t j = count; j < count + came; j++) {
            struct tier_done done = out_done[j];
            trouble = trouble || done.status != STATUS_OK;
            if (note(tiers, number, now_ns, &done)) {
                out_done[kept++] = done;
            }
        }
        count = kept;
    }
    /* Another one is first next time: what a rescan finds shall not hold up the others. */
    tiers->turn = tiers->count == 0 ? 0 : (tiers->turn + 1) % tiers->count;
    if (trouble) {
        /* Counted before anybody is told. */
        tiers_tick(tiers);
    }
    counter_set(tiers->counters, COUNTER_cold_now, tiers->cold_blocks);
    return count;
}

bool tiers_restless(const struct tiers *tiers)
{
    if (tiers->loading == 0 && tiers->storing == 0) {
        return false;
    }
    for (uint32_t i = 0; i < tiers->count; i++) {
        if (tier_fd(tiers->tier[i]) < 0) {
            return true;
        }
    }
    return false;
}

/* Counters only rise, also over a restart that keeps them: add what is new. */
bool tiers_finding(const struct tiers *tiers)
{
    bool finding = false;
    for (uint32_t i = 0; i < tiers->count; i++) {
        finding = finding || tiers->seen[i].finding;
    }
    return finding;
}

static void add_new(struct tiers *tiers, enum counter which, uint64_t now, uint64_t before)
{
    counter_add(tiers->counters, which, now - before);
}

void tiers_tick(struct tiers *tiers)
{
    uint64_t load_ns[TIERS_MAX];
    double error = 0;
    for (uint32_t i = 0; i < tiers->count; i++) {
        struct tier_health now;
        const struct tier_health *before = &tiers->seen[i];
        tiers->tier[i]->ops->health(tiers->tier[i], &now);
        add_new(tiers, COUNTER_tier_corrupt, now.corrupt, before->corrupt);
        add_new(tiers, COUNTER_tier_errors, now.errors, before->errors);
        add_new(tiers, COUNTER_tier_over_budget, now.over_budget, before->over_budget);
        add_new(tiers, COUNTER_tier_dropped, now.dropped, before->dropped);
        add_new(tiers, COUNTER_tier_reinserted, now.reinserted, before->reinserted);
        add_new(tiers, COUNTER_tier_written_bytes, now.written_bytes, before->written_bytes);
        add_new(tiers, COUNTER_tier_read_bytes, now.read_bytes, before->read_bytes);
        error = now.error_worst > error ? now.error_worst : error;
        tiers->seen[i] = now;
        /* One that is down comes last; one that was not measured yet, where it was put. */
        load_ns[i] = now.up ? now.load_ns : UINT64_MAX;
    }
    counter_set(tiers->counters, COUNTER_tier_error_ppm, (uint64_t)(error * 1e6));
    for (uint32_t i = 1; i < tiers->count; i++) {
        uint32_t number = tiers->order[i];
        uint32_t at = i;
        while (at > 0 && load_ns[tiers->order[at - 1]] > load_ns[number]) {
            tiers->order[at] = tiers->order[at - 1];
            at--;
        }
        tiers->order[at] = number;
    }
}
