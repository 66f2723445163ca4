/* race: the threads of the pin race. Called by the test_pin_race programs.
 *
 * Always bounded: a reader makes RACE_LOOKUPS lookups, the server runs until the last reader is
 * done.
 */
#include "tests/stress/race.h"

#include "tests/check.h"

#include <pthread.h>
#include <sched.h>

#define RETRIES 8

struct reader {
    pthread_t thread;
    struct race_side side;
    struct race_gift *give; /* where this reader leaves pins */
    struct race_gift *take; /* where it finds them */
    _Atomic uint32_t *done;
    struct pin_seat pins;
    struct race_outcome outcome;
    uint64_t random;
};

struct server {
    pthread_t thread;
    struct race_side side;
    _Atomic uint32_t *done;
    uint32_t number[RACE_SLOTS]; /* of the block in a slot; 0: FREE */
    uint32_t slot_of[RACE_KEYS + 1]; /* RACE_SLOTS: nowhere */
    uint8_t marks[RACE_SLOTS];
    struct race_outcome outcome;
    uint64_t random;
};

static struct key key_of(uint32_t number)
{
    uint64_t state = number;
    struct key key;
    for (int i = 0; i < 4; i++) {
        key.word[i] = check_random(&state);
    }
    return key;
}

static uint64_t word_of(uint32_t number, uint32_t i)
{
    return (uint64_t)number << 32 | i;
}

/* Let the other threads in, at moments that the seed chooses. */
static void stir(uint64_t *random)
{
    if (check_random(random) % 64 == 0) {
        (void)sched_yield();
    }
}

static struct index_view view_of(struct race_index *index)
{
    struct index_view view = {.header = &index->header,
        .hints = index->hints,
        .lines = index->lines,
        .slots = RACE_SLOTS,
        .hint_mask = RACE_BUCKETS - 1};
    return view;
}

static void read_block(struct reader *reader, uint32_t slot, uint32_t number)
{
    const uint64_t *words = reader->side.index->payload[slot];
    for (uint32_t i = 0; i < RACE_WORDS; i++) {
        reader->outcome.wrong += words[i] != word_of(number, i);
    }
}

/* R4 and R5. */
static bool judge(struct reader *reader, uint32_t slot, const struct key *key)
{
    const struct slot_line *line = &reader->side.index->lines[slot];
    for (int i = 0; i < RETRIES; i++) {
        enum slot_state state = slot_state_of(slot_load_state(line));
        if (state != SLOT_EVICTING) {
            return state == SLOT_VALID && slot_holds(line, key, 1);
        }
        reader->outcome.retries++;
        shared_relax();
    }
    return false;
}

/* A pin of the other reader is read and dropped here, by a thread that does not own the record. */
static void take_gift(struct reader *reader)
{
    struct race_gift *gift = reader->take;
    if (shared32_load_acquire(&gift->full) == 1) {
        read_block(reader, gift->slot, gift->number);
        pin_drop_foreign(gift->record);
        shared32_store_release(&gift->full, 0);
    }
}

/* End a pin: mostly by the owner, at times by handing it on. */
static void end_pin(struct reader *reader, uint32_t slot, uint32_t number, uint32_t record)
{
    struct race_gift *gift = reader->give;
    bool hand_on = check_random(&reader->random) % 8 == 0;
    if (hand_on && shared32_load_acquire(&gift->full) == 0) {
        gift->slot = slot;
        gift->number = number;
        gift->record = &reader->pins.records[record];
        shared32_store_release(&gift->full, 1);
        return;
    }
    pin_drop(&reader->pins, record);
}

static void look_up(struct reader *reader, uint32_t count)
{
    struct index_view view = view_of(reader->side.index);
    uint32_t number[RACE_BATCH];
    uint32_t slot[RACE_BATCH];
    uint32_t record[RACE_BATCH];
    for (uint32_t i = 0; i < count; i++) {
        number[i] = (uint32_t)(check_random(&reader->random) % RACE_KEYS) + 1;
        struct key key = key_of(number[i]);
        struct hint_place place = hint_place_of(&key, view.hint_mask);
        uint32_t position = 0;
        slot[i] = hint_next(&view, &place, HINT_HOT, &position);
        if (slot[i] != HINT_NONE && !pin_take(&reader->pins, slot[i], &record[i])) {
            slot[i] = HINT_NONE;
        }
        stir(&reader->random);
    }
    pin_fence();
    for (uint32_t i = 0; i < count; i++) {
        struct key key = key_of(number[i]);
        if (slot[i] == HINT_NONE) {
            reader->outcome.misses++;
        } else if (!judge(reader, slot[i], &key)) {
            reader->outcome.misses++;
            pin_drop(&reader->pins, record[i]);
            slot[i] = HINT_NONE;
        } else {
            reader->outcome.hits++;
            stir(&reader->random);
            read_block(reader, slot[i], number[i]);
        }
    }
    for (uint32_t i = count; i-- > 0;) {
        if (slot[i] != HINT_NONE) {
            end_pin(reader, slot[i], number[i], record[i]);
        }
    }
}

static void *read_for_a_while(void *context)
{
    struct reader *reader = context;
    uint32_t made = 0;
    while (made < RACE_LOOKUPS) {
        uint32_t count = (uint32_t)(check_random(&reader->random) % RACE_BATCH) + 1;
        look_up(reader, count);
        take_gift(reader);
        made += count;
    }
    shared32_store_release(reader->done, 1);
    return NULL;
}

static void publish(struct server *server, uint32_t slot, uint32_t number)
{
    struct race_index *index = server->side.index;
    struct index_view view = view_of(index);
    struct slot_content content = {
        .key = key_of(number), .offset = slot, .bytes = sizeof index->payload[0], .space = 1};
    (void)slot_reserve(&index->lines[slot], SLOT_LOADING);
    for (uint32_t i = 0; i < RACE_WORDS; i++) {
        index->payload[slot][i] = word_of(number, i);
    }
    (void)slot_publish(&index->lines[slot], &content);
    if (hint_add(&view, &content.key, HINT_HOT, slot)) {
        server->number[slot] = number;
        server->slot_of[number] = slot;
    } else {
        /* Both buckets are full: as the sidecar does, take it back. Nobody has a hint of it. */
        slot_mark(&index->lines[slot]);
        slot_free(&index->lines[slot]);
    }
}

/* V2 to V7 for a few victims. */
static void evict(struct server *server)
{
    struct race_index *index = server->side.index;
    struct index_view view = view_of(index);
    uint32_t victims[RACE_BATCH];
    uint32_t count = 0;
    for (uint32_t i = 0; i < RACE_BATCH; i++) {
        uint32_t slot = (uint32_t)(check_random(&server->random) % RACE_SLOTS);
        if (server->number[slot] != 0 && server->marks[slot] == PIN_NONE) {
            slot_mark(&index->lines[slot]);
            server->marks[slot] = PIN_VICTIM;
            victims[count++] = slot;
        }
    }
    pin_fence();
    for (uint32_t i = 0; i < RACE_READERS; i++) {
        const struct race_lane *lane = &server->side.lanes[i];
        server->outcome.wild +=
            pin_sweep(&lane->high, lane->records, RACE_RECORDS, server->marks, RACE_SLOTS);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = victims[i];
        if (server->marks[slot] == PIN_PINNED) {
            slot_unmark(&index->lines[slot]);
            server->outcome.pinned++;
        } else {
            uint32_t number = server->number[slot];
            struct key key = key_of(number);
            (void)hint_remove(&view, &key, HINT_HOT, slot);
            slot_free(&index->lines[slot]);
            server->slot_of[number] = RACE_SLOTS;
            server->number[slot] = 0;
            server->outcome.evictions++;
        }
        server->marks[slot] = PIN_NONE;
    }
}

static void fill(struct server *server)
{
    for (uint32_t slot = 0; slot < RACE_SLOTS; slot++) {
        if (server->number[slot] == 0) {
            uint32_t number = (uint32_t)(check_random(&server->random) % RACE_KEYS) + 1;
            if (server->slot_of[number] == RACE_SLOTS) {
                publish(server, slot, number);
            }
        }
    }
}

static bool all_done(const struct server *server)
{
    for (uint32_t i = 0; i < RACE_READERS; i++) {
        if (shared32_load_acquire(&server->done[i]) == 0) {
            return false;
        }
    }
    return true;
}

static void *serve_until_done(void *context)
{
    struct server *server = context;
    while (!all_done(server)) {
        fill(server);
        stir(&server->random);
        evict(server);
    }
    return NULL;
}

static void start(pthread_t *thread, void *(*run)(void *), void *context)
{
    if (pthread_create(thread, NULL, run, context) != 0) {
        (void)fprintf(stderr, "no thread to be had\n");
        abort();
    }
}

struct race_outcome race_run(
    const struct race_side *server_side, const struct race_side *reader_side, uint64_t seed)
{
    _Atomic uint32_t done[RACE_READERS] = {0};
    struct race_gift gifts[RACE_READERS] = {0};
    struct reader readers[RACE_READERS] = {0};
    struct server server = {.side = *server_side, .done = done, .random = seed};
    for (uint32_t number = 0; number <= RACE_KEYS; number++) {
        server.slot_of[number] = RACE_SLOTS;
    }
    fill(&server);
    start(&server.thread, serve_until_done, &server);
    for (uint32_t i = 0; i < RACE_READERS; i++) {
        struct race_lane *lane = &reader_side->lanes[i];
        readers[i] = (struct reader){.side = *reader_side,
            .give = &gifts[i],
            .take = &gifts[(i + 1) % RACE_READERS],
            .done = &done[i],
            .pins = {.records = lane->records, .high_word = &lane->high, .count = RACE_RECORDS},
            .random = seed + i + 1};
        start(&readers[i].thread, read_for_a_while, &readers[i]);
    }
    struct race_outcome outcome = {0};
    for (uint32_t i = 0; i < RACE_READERS; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        outcome.hits += readers[i].outcome.hits;
        outcome.misses += readers[i].outcome.misses;
        outcome.retries += readers[i].outcome.retries;
        outcome.wrong += readers[i].outcome.wrong;
    }
    (void)pthread_join(server.thread, NULL);
    outcome.evictions = server.outcome.evictions;
    outcome.pinned = server.outcome.pinned;
    outcome.wild = server.outcome.wild;
    printf(
        "%llu hits, %llu misses, %llu retries, %llu evictions, %llu victims pinned, %llu wrong\n",
        (unsigned long long)outcome.hits, (unsigned long long)outcome.misses,
        (unsigned long long)outcome.retries, (unsigned long long)outcome.evictions,
        (unsigned long long)outcome.pinned, (unsigned long long)outcome.wrong);
    return outcome;
}
