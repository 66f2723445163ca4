/* backend_nvme: files on disk, by io_uring and by threads, in one directory and in two, coded and
 * sealed. How to spoil them is here too: the newest INDEX page that names a block says where it
 * is. */
#include "tests/conform/conform.h"

#include "shm/status.h"
#include "sidecar/log.h"
#include "sidecar/tier/nvme_format.h"
#include "sidecar/tier/tier_nvme.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGION (UINT64_C(16) << 20)
#define FILE_BYTES (4 * REGION + (UINT64_C(1) << 20))
#define FILE_NAME "cistern.tier"

struct way {
    uint32_t directories;
    enum codec codec;
    bool sealed;
    enum tier_nvme_io io;
};

static int open_way(const struct conform_place *place, struct way way, struct tier **out_tier,
    char *why, size_t why_bytes)
{
    static struct log log; /* outlives the tier; errors alone, as a fault here is meant */
    log_init(&log, STDERR_FILENO, LOG_ERROR);
    struct tier_nvme_options options = {
        .directories = {place->directory[0], place->directory[1]},
        .directory_count = way.directories,
        .bytes = FILE_BYTES,
        .region_bytes = REGION,
        .block_bytes_most = CONFORM_BLOCK_MOST,
        .codec = way.codec,
        .key_file = way.sealed ? place->key_file : NULL,
        .io = way.io,
        .log = &log,
    };
    return tier_nvme_open(&options, out_tier, why, why_bytes);
}

static int open_uring(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    struct way way = {1, CODEC_RAW, false, TIER_NVME_URING};
    return open_way(place, way, out_tier, why, why_bytes);
}

static int open_threads(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    struct way way = {1, CODEC_RAW, false, TIER_NVME_THREADS};
    return open_way(place, way, out_tier, why, why_bytes);
}

static int open_striped(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    struct way way = {2, CODEC_RAW, false, TIER_NVME_AUTO};
    return open_way(place, way, out_tier, why, why_bytes);
}

static int open_zstd(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    struct way way = {1, CODEC_ZSTD, false, TIER_NVME_AUTO};
    return open_way(place, way, out_tier, why, why_bytes);
}

static int open_sealed(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    struct way way = {1, CODEC_RAW, true, TIER_NVME_AUTO};
    return open_way(place, way, out_tier, why, why_bytes);
}

static int open_sealed_zstd(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    struct way way = {2, CODEC_ZSTD, true, TIER_NVME_THREADS};
    return open_way(place, way, out_tier, why, why_bytes);
}

/* A payload in a file, and how new it is. */
struct spot {
    uint64_t offset;
    uint64_t bytes; /* 0: not found */
    uint64_t generation;
    uint64_t sequence;
};

static bool is_newer(const struct nvme_format_page *page, const struct spot *spot)
{
    if (spot->bytes == 0 || page->generation != spot->generation) {
        return spot->bytes == 0 || page->generation > spot->generation;
    }
    return page->sequence >= spot->sequence;
}

static void look_at_page(
    const struct nvme_format_page *page, uint64_t at, const struct tier_id *id, struct spot *spot)
{
    if (page->magic != NVME_FORMAT_MAGIC || page->kind != NVME_FORMAT_INDEX ||
        nvme_format_check(page) != STATUS_OK || page->count > NVME_FORMAT_RECORDS) {
        return;
    }
    for (uint32_t i = 0; i < page->count; i++) {
        const struct record_header *header = &page->record[i];
        if (memcmp(header->space, id->space, sizeof header->space) == 0 &&
            memcmp(header->key, &id->key, sizeof header->key) == 0 && is_newer(page, spot)) {
            *spot = (struct spot){.offset = at + (uint64_t)page->place[i].back * NVME_FORMAT_PAGE,
                .bytes = header->stored_bytes,
                .generation = page->generation,
                .sequence = page->sequence};
        }
    }
}

/* Returns an open file, or -1. */
static int find(const char *directory, const struct tier_id *id, struct spot *out_spot)
{
    char path[256];
    struct stat about;
    (void)snprintf(path, sizeof path, "%s/" FILE_NAME, directory);
    int file = open(path, O_RDWR | O_CLOEXEC);
    *out_spot = (struct spot){.bytes = 0};
    if (file < 0 || fstat(file, &about) != 0) {
        return file;
    }
    size_t bytes = (size_t)about.st_size;
    uint8_t *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0);
    for (size_t at = 0; map != MAP_FAILED && at + NVME_FORMAT_PAGE <= bytes;
         at += NVME_FORMAT_PAGE) {
        look_at_page((const struct nvme_format_page *)(const void *)(map + at), at, id, out_spot);
    }
    if (map != MAP_FAILED) {
        (void)munmap(map, bytes);
    }
    return file;
}

/* Turn the bits of `bytes` bytes that the mask says. */
static bool turn(int file, uint64_t offset, uint64_t bytes, uint8_t mask)
{
    uint8_t *data = malloc(bytes);
    bool done = data != NULL && pread(file, data, bytes, (off_t)offset) == (ssize_t)bytes;
    for (uint64_t i = 0; done && i < bytes; i++) {
        data[i] ^= mask;
    }
    done = done && pwrite(file, data, bytes, (off_t)offset) == (ssize_t)bytes &&
           fdatasync(file) == 0; /* the tier reads past the page cache */
    free(data);
    return done;
}

static bool spoil(
    const struct conform_place *place, const struct tier_id *id, bool tear, uint64_t random)
{
    bool done = false;
    for (size_t i = 0; i < CHECK_COUNT(place->directory) && !done; i++) {
        struct spot spot;
        int file = find(place->directory[i], id, &spot);
        if (file >= 0 && spot.bytes > 0) {
            uint64_t bit = random % (8 * spot.bytes);
            done = tear
                       ? turn(file, spot.offset + spot.bytes / 2, spot.bytes - spot.bytes / 2, 0xff)
                       : turn(file, spot.offset + bit / 8, 1, (uint8_t)(1u << bit % 8));
        }
        if (file >= 0) {
            (void)close(file);
        }
    }
    return done;
}

const struct conform_backend conform_nvme[] = {
    {"nvme, uring", open_uring, spoil, CONFORM_BLOCK_MOST + 1, true, false, true, false},
    {"nvme, threads", open_threads, spoil, CONFORM_BLOCK_MOST + 1, true, false, true, false},
    {"nvme, two directories", open_striped, spoil, CONFORM_BLOCK_MOST + 1, true, false, true,
        false},
    {"nvme, zstd", open_zstd, spoil, CONFORM_BLOCK_MOST + 1, false, false, true, false},
    {"nvme, sealed", open_sealed, spoil, CONFORM_BLOCK_MOST + 1, false, true, true, false},
    {"nvme, sealed, zstd, threads, two directories", open_sealed_zstd, spoil,
        CONFORM_BLOCK_MOST + 1, false, true, true, false},
};
const uint32_t conform_nvme_count = CHECK_COUNT(conform_nvme);
