/* world: what the pin models share: two slots with a plain word of payload each, two hint buckets,
 * and the steps that libclient and sidecar/block make on them, through shm/ alone.
 *
 * The payload is a plain int, so a reader that overlaps a writer is an error that the checker
 * reports as a race, and a block under the wrong key is an assertion that fails. Each reader owns
 * a seat.
 */
#ifndef CISTERN_TESTS_MODEL_WORLD_H
#define CISTERN_TESTS_MODEL_WORLD_H

#include "shm/hint.h"
#include "shm/pin.h"
#include "shm/slot.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SLOTS 2u
#define SPACE 7u
#define RECORDS 2u
#define EPOCH 1u
#define NO_RECORD UINT32_MAX

static struct index_header header;
static struct slot_line lines[SLOTS];
static struct hint_bucket hints[2];
static int payload[SLOTS];

static const struct index_view view = {
    .header = &header, .hints = hints, .lines = lines, .slots = SLOTS, .hint_mask = 1};

/* One thread's part of a lane, and its private view. */
struct seat {
    _Atomic uint32_t records[RECORDS];
    _Atomic uint32_t high;
    struct pin_seat pins;
};

static void seat_init(struct seat *seat, uint32_t count)
{
    seat->pins = (struct pin_seat){
        .records = seat->records, .high_word = &seat->high, .count = count, .high = 0, .next = 0};
}

/* The key of block `number`; its payload is the number. */
static struct key key_of(uint32_t number)
{
    struct key key = {.word = {number, number, (uint64_t)number << 40, number}};
    return key;
}

/* Server: what hint_add() stores, in the word that has the slot's number. The checker cannot
 * follow a struct hint_place that is returned by value, so the models write their hints
 * themselves. */
static void hint_show(uint32_t slot, uint32_t number)
{
    shared64_store_relaxed(&hints[0].word[slot], hint_word(number, HINT_HOT, slot));
}

/* Server: put block `number` into a FREE slot and show it. */
static void publish(uint32_t slot, uint32_t number)
{
    struct slot_content content = {
        .key = key_of(number), .offset = slot, .bytes = 4, .space = SPACE};
    (void)slot_reserve(&lines[slot], SLOT_LOADING);
    payload[slot] = (int)number;
    (void)slot_publish(&lines[slot], &content);
    hint_show(slot, number);
}

/* Server: V2 to V6 for the slots `first` to `first + count - 1` against the seats of all lanes.
 * Victims that were not pinned are FREE afterwards; marks says which. */
static void retire(
    uint32_t first, uint32_t count, struct seat *seats, uint32_t seat_count, uint8_t marks[SLOTS])
{
    for (uint32_t slot = first; slot < first + count; slot++) {
        slot_mark(&lines[slot]);
        marks[slot] = PIN_VICTIM;
    }
    pin_fence();
    for (uint32_t i = 0; i < seat_count; i++) {
        uint32_t wild =
            pin_sweep(&seats[i].high, seats[i].records, seats[i].pins.count, marks, SLOTS);
        assert(wild == 0);
    }
    for (uint32_t slot = first; slot < first + count; slot++) {
        if (marks[slot] == PIN_PINNED) {
            slot_unmark(&lines[slot]);
        } else {
            slot_free(&lines[slot]);
        }
    }
}

/* Server: let block `number` take the slot, if it was free after the sweep. */
static void replace(uint32_t slot, uint32_t number, const uint8_t marks[SLOTS])
{
    if (marks[slot] == PIN_VICTIM) {
        shared64_store_relaxed(&hints[0].word[slot], 0);
        publish(slot, number);
    }
}

/* Client: R1 for block `number`. Returns a slot, or HINT_NONE. */
static uint32_t find(uint32_t number)
{
    struct hint_place place = {.bucket = {0, 1}, .tag = number};
    uint32_t position = 0;
    return hint_next(&view, &place, HINT_HOT, &position);
}

/* Client: R4 to R6: is the slot, named by a record of ours, readable as block `number`? */
static bool validate(uint32_t slot, uint32_t number, uint64_t attached)
{
    struct key key = key_of(number);
    if (slot_state_of(slot_load_state(&lines[slot])) != SLOT_VALID) {
        return false;
    }
    if (!slot_holds(&lines[slot], &key, SPACE)) {
        return false;
    }
    return shared64_load_relaxed(&header.epoch) == attached;
}

/* Client: R2 to R6. Returns the record that pins `slot`, or NO_RECORD. */
static uint32_t pin(struct pin_seat *seat, uint32_t slot, uint32_t number)
{
    uint32_t record;
    if (!pin_take(seat, slot, &record)) {
        return NO_RECORD;
    }
    pin_fence();
    if (validate(slot, number, EPOCH)) {
        return record;
    }
    pin_drop(seat, record);
    return NO_RECORD;
}

/* Client: R7. */
static void read_block(uint32_t slot, uint32_t number)
{
    int value = payload[slot];
    assert(value == (int)number);
}

/* Client: R1 to R8, a whole hit or a miss. */
static void hit(struct pin_seat *seat, uint32_t number)
{
    uint32_t slot = find(number);
    if (slot == HINT_NONE) {
        return;
    }
    uint32_t record = pin(seat, slot, number);
    if (record != NO_RECORD) {
        read_block(slot, number);
        pin_drop(seat, record);
    }
}

/* Blocks 1 and 2 in slots 0 and 1, before any thread starts. */
static void world_init(struct seat *seats, uint32_t count, uint32_t records)
{
    for (uint32_t i = 0; i < count; i++) {
        seat_init(&seats[i], records);
    }
    shared64_store_relaxed(&header.epoch, EPOCH);
    publish(0, 1);
    publish(1, 2);
}

#endif
