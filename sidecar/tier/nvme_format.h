/* nvme_format: the pages that make a file of bytes a store, as they lie on disk.
 *
 *   file    ┌ SUPER ┬ … 1 MiB ┬ region 0 ┬ region 1 ┬ …
 *   region  ┌ REGION ┬ INDEX ┬ payload … ┬ INDEX ┬ payload … ┬ … ┬ FOOTER … ┬ END ┐
 *             page 0   a group of up to 15 records            only when sealed
 *
 * A group is written as one stretch: its INDEX page has the 15 record headers, the payloads follow,
 * each padded to a page. A sealed region repeats all record headers, packed, in FOOTER pages before
 * its last page; so a restart reads one stretch a region. Source of the shape: segment summaries
 * (Rosenblum and Ousterhout, "The design and implementation of a log-structured file system",
 * 1992). Called by nvme_file, nvme_write and nvme_recover; pure. All pages share one form, and are
 * foreign bytes when they are read.
 */
#ifndef CISTERN_SIDECAR_TIER_NVME_FORMAT_H
#define CISTERN_SIDECAR_TIER_NVME_FORMAT_H

#include "sidecar/tier/record.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define NVME_FORMAT_MAGIC UINT64_C(0x4d564e4e52545343) /* "CSTRNNVM" */
#define NVME_FORMAT_VERSION 1u
#define NVME_FORMAT_PAGE 4096u
#define NVME_FORMAT_RECORDS 15u
#define NVME_FORMAT_FIRST (UINT64_C(1) << 20) /* where region 0 begins */
#define NVME_FORMAT_UUID 16u

enum nvme_format_kind {
    NVME_FORMAT_SUPER = 1,
    NVME_FORMAT_REGION = 2,
    NVME_FORMAT_INDEX = 3,
    NVME_FORMAT_FOOTER = 4,
    NVME_FORMAT_END = 5
};

/* Where a payload lies, in pages of its region. */
struct nvme_format_place {
    uint32_t page;
    uint32_t back; /* its INDEX page is so many pages before it */
};

/* Little-endian, no padding. Fields that a kind does not use are 0. */
struct nvme_format_page {
    uint64_t magic;
    uint16_t version;
    uint16_t kind;
    uint32_t region; /* its number */
    uint8_t uuid[NVME_FORMAT_UUID];
    uint64_t generation; /* of the region: rises with every reuse of any region of the file */
    uint64_t sequence; /* INDEX, FOOTER: 0, 1, 2 … in their region; END: FOOTER pages */
    uint64_t file_bytes; /* SUPER */
    uint64_t region_bytes; /* SUPER */
    uint32_t count; /* INDEX, FOOTER: records; END: records of all FOOTER pages */
    uint32_t next_page; /* INDEX: where the next group begins */
    struct nvme_format_place place[NVME_FORMAT_RECORDS];
    uint8_t zero[56];
    uint64_t check; /* XXH3-64 of the whole page, this word being 0 */
    struct record_header record[NVME_FORMAT_RECORDS];
};

static_assert(sizeof(struct nvme_format_page) == NVME_FORMAT_PAGE, "one page");
static_assert(offsetof(struct nvme_format_page, record) == 256, "headers are aligned");

/* Which page of which store this is. */
struct nvme_format_home {
    uint8_t uuid[NVME_FORMAT_UUID];
    uint64_t region_bytes;
    uint64_t generation;
    uint32_t region;
};

/* Begin a page: all 0 but its kind and home. */
void nvme_format_begin(struct nvme_format_page *out_page, enum nvme_format_kind kind,
    const struct nvme_format_home *home);

/* Add a record; there is room. */
void nvme_format_add(struct nvme_format_page *page, const struct record_header *header,
    struct nvme_format_place place);

/* Finish a page: its check. Nothing of it may change any more. */
void nvme_format_finish(struct nvme_format_page *page);

/* Is it a whole page of ours? Returns 0; STATUS_MALFORMED: torn, flipped or not ours;
 * STATUS_VERSION: ours, of another format. */
int nvme_format_check(const struct nvme_format_page *page);

/* Is it this page of this store? Then counts and places were checked too, but not the records'
 * own checksums. Returns 0; as nvme_format_check(); STATUS_MISS: of another home or kind. */
int nvme_format_check_home(const struct nvme_format_page *page, enum nvme_format_kind kind,
    const struct nvme_format_home *home);

/* The pages that a payload takes. */
static inline uint32_t nvme_format_pages(uint64_t bytes)
{
    return (uint32_t)((bytes + NVME_FORMAT_PAGE - 1) / NVME_FORMAT_PAGE);
}

/* FOOTER pages for so many records. */
static inline uint32_t nvme_format_footers(uint32_t records)
{
    return (records + NVME_FORMAT_RECORDS - 1) / NVME_FORMAT_RECORDS;
}

static inline uint64_t nvme_format_offset(uint64_t region_bytes, uint32_t region, uint32_t page)
{
    return NVME_FORMAT_FIRST + region * region_bytes + (uint64_t)page * NVME_FORMAT_PAGE;
}

#endif
