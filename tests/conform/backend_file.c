/* backend_file: the reference, in the clear, coded, sealed; and behind a fault tier that does
 * nothing. How to spoil its files is here too: they are files. */
#include "tests/conform/conform.h"

#include "shm/status.h"
#include "sidecar/tier/file_store.h"
#include "sidecar/tier/tier_fault.h"
#include "sidecar/tier/tier_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPACITY (UINT64_C(32) << 20)

static int open_with(const struct conform_place *place, enum codec codec, bool sealed,
    struct tier **out_tier, char *why, size_t why_bytes)
{
    struct tier_file_options options = {.directory = place->directory[0],
        .capacity_bytes = CAPACITY,
        .codec = codec,
        .key_file = sealed ? place->key_file : NULL};
    return tier_file_open(&options, out_tier, why, why_bytes);
}

static int open_raw(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    return open_with(place, CODEC_RAW, false, out_tier, why, why_bytes);
}

static int open_zstd(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    return open_with(place, CODEC_ZSTD, false, out_tier, why, why_bytes);
}

static int open_sealed(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    return open_with(place, CODEC_RAW, true, out_tier, why, why_bytes);
}

static int open_sealed_zstd(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    return open_with(place, CODEC_ZSTD, true, out_tier, why, why_bytes);
}

static int open_fault(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    struct tier_fault_options options = {.seed = 1, .delay_polls = 3};
    int status = open_raw(place, &options.inner, why, why_bytes);
    return status != STATUS_OK ? status : tier_fault_open(&options, out_tier);
}

static bool flip(int file, uint64_t bit)
{
    uint8_t byte;
    if (pread(file, &byte, 1, (off_t)(bit / 8)) != 1) {
        return false;
    }
    byte ^= (uint8_t)(1u << bit % 8);
    return pwrite(file, &byte, 1, (off_t)(bit / 8)) == 1;
}

/* Any bit of the file, header or payload; or its second half is cut off, or what was there
 * before. */
static bool spoil(
    const struct conform_place *place, const struct tier_id *id, bool tear, uint64_t random)
{
    char name[FILE_STORE_NAME];
    char path[sizeof place->directory[0] + sizeof name + 1];
    struct stat about;
    file_store_name(id, name);
    (void)snprintf(path, sizeof path, "%s/%s", place->directory[0], name);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &about) != 0) {
        return false;
    }
    uint64_t bytes = (uint64_t)about.st_size;
    bool done = tear ? ftruncate(file, (off_t)(bytes / 2)) == 0 : flip(file, random % (8 * bytes));
    if (tear && random % 2 == 0) {
        done = done && ftruncate(file, (off_t)bytes) == 0;
    }
    (void)close(file);
    return done;
}

const struct conform_backend conform_file[] = {
    {"file", open_raw, spoil, CAPACITY + 1, true, false, false, false},
    {"file, zstd", open_zstd, spoil, 2 * CAPACITY, false, false, false, false},
    {"file, sealed", open_sealed, spoil, CAPACITY + 1, false, true, false, false},
    {"file, sealed, zstd", open_sealed_zstd, spoil, 2 * CAPACITY, false, true, false, false},
    {"fault around file", open_fault, spoil, CAPACITY + 1, true, false, false, true},
};
const uint32_t conform_file_count = CHECK_COUNT(conform_file);
