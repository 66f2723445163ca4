/* ring: a queue from one process to another, one writer, one reader, in a lane.
 *
 * Entries are whole 64-bit words. The tail is written by the writer alone, the head by the reader
 * alone, on different cache lines; both run free and are compared by subtraction. Each side keeps
 * its own index in private memory: the shared copy is for the other side, and is never read back.
 * The reader copies an entry to private memory word by word, each loaded once, and only then looks
 * at it: the writer may be hostile and may still be writing.
 */
#ifndef CISTERN_SHM_RING_H
#define CISTERN_SHM_RING_H

#include "shm/atomic.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The writing end, in private memory of the writer. */
struct ring_writer {
    _Atomic uint64_t *words;
    _Atomic uint32_t *tail_word; /* ours; read by the reader */
    const _Atomic uint32_t *head_word; /* the reader's */
    uint32_t count; /* entries, a power of two */
    uint32_t entry_words;
    uint32_t tail;
    uint32_t head; /* as last seen */
};

/* The reading end, in private memory of the reader. */
struct ring_reader {
    const _Atomic uint64_t *words;
    const _Atomic uint32_t *tail_word; /* the writer's */
    _Atomic uint32_t *head_word; /* ours */
    uint32_t count;
    uint32_t entry_words;
    uint32_t head;
    uint32_t tail; /* as last seen */
};

enum ring_result {
    RING_EMPTY = 0,
    RING_ENTRY = 1,
    RING_WILD = -1 /* the writer's tail names more entries than there are: it is broken */
};

/* How many entries can be written now, at most `wanted` looked for. A wild head counts as full. */
static inline uint32_t ring_room(struct ring_writer *ring, uint32_t wanted)
{
    uint32_t used = ring->tail - ring->head;
    if (ring->count - used < wanted) {
        uint32_t head = shared32_load_acquire(ring->head_word);
        if (ring->tail - head <= ring->count) {
            ring->head = head;
            used = ring->tail - head;
        }
    }
    return ring->count - used;
}

/* Fill the next entry, unseen by the reader until ring_publish(). There must be room. */
static inline void ring_fill(struct ring_writer *ring, const void *entry)
{
    const char *from = entry; /* an entry is any struct: its bytes, not its words, may be read */
    _Atomic uint64_t *to = &ring->words[(ring->tail & (ring->count - 1)) * ring->entry_words];
    for (uint32_t i = 0; i < ring->entry_words; i++) {
        uint64_t word;
        memcpy(&word, from + i * sizeof word, sizeof word);
        shared64_store_relaxed(&to[i], word);
    }
    ring->tail++;
}

/* Show all filled entries to the reader: ordering 1; partner: ring_look(). */
static inline void ring_publish(struct ring_writer *ring)
{
    shared32_store_release(ring->tail_word, ring->tail);
}

/* Look at the writer's tail. Returns RING_ENTRY if an entry waits, RING_WILD for a wild tail. */
static inline enum ring_result ring_look(struct ring_reader *ring)
{
    if (ring->tail == ring->head) {
        uint32_t tail = shared32_load_acquire(ring->tail_word);
        if (tail - ring->head > ring->count) {
            return RING_WILD;
        }
        ring->tail = tail;
    }
    return ring->tail == ring->head ? RING_EMPTY : RING_ENTRY;
}

/* Copy the next entry to private memory; after ring_look() said RING_ENTRY. */
static inline void ring_copy(struct ring_reader *ring, void *out_entry)
{
    char *to = out_entry;
    const _Atomic uint64_t *from =
        &ring->words[(ring->head & (ring->count - 1)) * ring->entry_words];
    for (uint32_t i = 0; i < ring->entry_words; i++) {
        uint64_t word = shared64_load_relaxed(&from[i]);
        memcpy(to + i * sizeof word, &word, sizeof word);
    }
    ring->head++;
}

/* Give the entries copied so far back to the writer; partner: ring_room(). */
static inline void ring_return(struct ring_reader *ring)
{
    shared32_store_release(ring->head_word, ring->head);
}

#endif
