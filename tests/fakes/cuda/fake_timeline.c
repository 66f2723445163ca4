/* fake_timeline: see fake_timeline.h. */
#include "tests/fakes/cuda/fake_timeline.h"

#include "tests/fakes/cuda/fake_host.h"
#include "tests/fakes/cuda/fake_ledger.h"
#include "tests/fakes/cuda/fake_lock.h"
#include "tests/fakes/cuda/fake_region.h"
#include "tests/fakes/cuda/fake_stream.h"
#include "tests/fakes/cuda/fake_track.h"

#include <stdatomic.h>
#include <stdlib.h>

#define LOOK_NS 20000

/* What the streams of this process knew when they wrote a word: who waits for it learns that. */
struct word {
    uint64_t space;
    uint64_t offset;
    struct fake_clock clock;
    struct word *next;
};

static struct word *words;

static struct word *find(uint64_t address)
{
    struct fake_piece piece = fake_region_piece(address, sizeof(uint64_t));
    struct word *word = words;
    while (word != NULL && (word->space != piece.space || word->offset != piece.offset)) {
        word = word->next;
    }
    return word;
}

static void remember(uint64_t address, const struct fake_clock *clock)
{
    struct word *word = find(address);
    if (word == NULL) {
        struct fake_piece piece = fake_region_piece(address, sizeof(uint64_t));
        word = calloc(1, sizeof *word);
        if (word == NULL) {
            return;
        }
        *word = (struct word){.space = piece.space, .offset = piece.offset, .next = words};
        words = word;
    }
    fake_clock_join(&word->clock, clock);
}

static _Atomic uint64_t *at(uint64_t address)
{
    return fake_region_pointer(address);
}

void fake_timeline_write(struct driver_stream *stream, const struct fake_operation *operation)
{
    uint64_t address = operation->ranges[0].to;
    remember(address, &stream->clock);
    /* Pairs with the load in fake_timeline_wait(): who sees the word sees what came before. */
    atomic_store_explicit(at(address), operation->value, memory_order_release);
    (void)atomic_fetch_add(fake_ledger_generation(), 1);
    if (fake_region_find(address) == NULL) {
        fake_track_learn(&stream->clock); /* the host reads such a word without any call */
    }
}

/* False: the word cannot be read any more. */
static bool look(const struct driver_stream *stream, uint64_t address, uint64_t *out_value)
{
    if (!fake_operation_may(stream, address, sizeof *out_value, DRIVER_ACCESS_READ, true)) {
        return false;
    }
    *out_value = atomic_load_explicit(at(address), memory_order_acquire);
    return true;
}

void fake_timeline_wait(struct driver_stream *stream, const struct fake_operation *operation)
{
    uint64_t address = operation->ranges[0].from;
    while (stream->context->sticky == DRIVER_SUCCESS) {
        uint64_t generation = atomic_load(fake_ledger_generation());
        uint64_t value;
        if (operation->is_revoked || !look(stream, address, &value)) {
            fake_context_break(stream->context, DRIVER_ILLEGAL_ADDRESS);
            return;
        }
        if ((int64_t)(value - operation->value) >= 0) { /* cyclic */
            const struct word *word = find(address);
            if (word != NULL) {
                fake_clock_join(&stream->clock, &word->clock);
            }
            return;
        }
        while (atomic_load(fake_ledger_generation()) == generation &&
               stream->context->sticky == DRIVER_SUCCESS) {
            fake_lock_nap(LOOK_NS);
        }
    }
}

static int check(uint64_t address, unsigned flags)
{
    const struct fake_region *region = fake_region_find(address);
    bool is_there = region != NULL ? address - region->address <= region->bytes - sizeof(uint64_t)
                                   : fake_host_is_mapped(address, sizeof(uint64_t));
    if (fake_settings_read()->no_timeline != 0 || flags != 0) {
        return DRIVER_NOT_SUPPORTED;
    }
    return is_there && address % sizeof(uint64_t) == 0 ? DRIVER_SUCCESS : DRIVER_INVALID_VALUE;
}

static struct fake_operation *make(
    enum fake_kind kind, enum fake_entry entry, uint64_t address, uint64_t value)
{
    struct fake_operation *made = fake_operation_make(kind, entry, 1);
    if (made != NULL) {
        made->sides = FAKE_TO_DEVICE | FAKE_FROM_DEVICE;
        made->value = value;
        made->ranges[0].bytes = sizeof value;
        made->ranges[0].to = kind == FAKE_WRITE ? address : 0;
        made->ranges[0].from = kind == FAKE_WAIT ? address : 0;
    }
    return made;
}

int fake_cuStreamWriteValue64(
    struct driver_stream *stream, uint64_t address, uint64_t value, unsigned flags)
{
    int result = fake_entry_enter(FAKE_cuStreamWriteValue64, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    result = check(address, flags);
    if (result == DRIVER_SUCCESS) {
        result =
            fake_stream_ask(stream, make(FAKE_WRITE, FAKE_cuStreamWriteValue64, address, value));
    }
    return fake_entry_leave(result);
}

int fake_cuStreamWaitValue64(
    struct driver_stream *stream, uint64_t address, uint64_t value, unsigned flags)
{
    int result = fake_entry_enter(FAKE_cuStreamWaitValue64, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    result = check(address, flags); /* of the conditions only GEQ, 0, is known here */
    if (result == DRIVER_SUCCESS) {
        result = fake_stream_ask(stream, make(FAKE_WAIT, FAKE_cuStreamWaitValue64, address, value));
    }
    return fake_entry_leave(result);
}
