/* fake_track: see fake_track.h. */
#include "tests/fakes/cuda/fake_track.h"

#include "tests/fakes/cuda/fake_region.h"
#include "tests/fakes/cuda/fake_stream.h"
#include "tests/fakes/cuda/fake_violation.h"

#include <inttypes.h>

#define RECORDS 4096

struct record {
    const char *what;
    uint64_t space; /* and offset: the same bytes, wherever they are mapped */
    uint64_t offset;
    uint64_t bytes;
    uint64_t address; /* 0: it is mapped there no more */
    uint64_t tick;
    int actor;
    bool writes;
};

static struct record records[RECORDS];
static size_t count;
static size_t oldest; /* where the next one goes when all are taken */
static struct fake_clock host;

const struct fake_clock *fake_track_host(void)
{
    return &host;
}

static bool knows(const struct fake_clock *clock, const struct record *record)
{
    return clock->tick[record->actor] >= record->tick;
}

void fake_track_learn(const struct fake_clock *clock)
{
    fake_clock_join(&host, clock);
    if (fake_stream_is_busy()) {
        return; /* an operation that waits may know less than the host does */
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!knows(&host, &records[i])) {
            records[kept++] = records[i];
        }
    }
    count = kept;
    oldest = 0;
}

static bool is_hit(uint64_t start, uint64_t bytes, uint64_t other, uint64_t other_bytes)
{
    return start < other + other_bytes && other < start + bytes;
}

static void compare(const struct fake_doer *doer, const struct record *with)
{
    for (size_t i = 0; i < count; i++) {
        const struct record *before = &records[i];
        if (before->space == with->space && (before->writes || with->writes) &&
            is_hit(before->offset, before->bytes, with->offset, with->bytes) &&
            !knows(doer->clock, before)) {
            fake_violation("%s %s 0x%" PRIx64 " +%" PRIu64 ", which %s of another stream %s: "
                           "nothing orders the two",
                with->what, with->writes ? "writes" : "reads", with->address, with->bytes,
                before->what, before->writes ? "writes" : "reads");
            return;
        }
    }
}

static void add(const struct record *record)
{
    if (count < RECORDS) {
        records[count++] = *record;
    } else {
        records[oldest] = *record;
        oldest = (oldest + 1) % RECORDS;
    }
}

void fake_track_access(const struct fake_doer *doer, uint64_t address, uint64_t bytes, bool writes)
{
    while (bytes > 0) {
        struct fake_piece piece = fake_region_piece(address, bytes);
        struct record record = {.what = doer->what,
            .space = piece.space,
            .offset = piece.offset,
            .bytes = piece.bytes,
            .address = address,
            .tick = doer->clock->tick[doer->actor],
            .actor = doer->actor,
            .writes = writes};
        compare(doer, &record);
        add(&record);
        address += piece.bytes;
        bytes -= piece.bytes;
    }
}

void fake_track_end(const char *what, uint64_t address, uint64_t bytes)
{
    const char *user = fake_stream_revoke(address, bytes);
    for (size_t i = 0; i < count; i++) {
        struct record *record = &records[i];
        if (record->address != 0 && is_hit(record->address, record->bytes, address, bytes)) {
            if (user == NULL && !knows(&host, record)) {
                user = record->what;
            }
            record->address = 0;
        }
    }
    if (user != NULL) {
        fake_violation("%s of 0x%" PRIx64 " +%" PRIu64 " while %s may still use it: the host has "
                       "not waited for its end",
            what, address, bytes, user);
    }
}
