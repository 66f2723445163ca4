/* nvme_format: makes and checks pages. See nvme_format.h. */
#include "sidecar/tier/nvme_format.h"

#include "shm/status.h"

#include <string.h>
#include <xxhash.h>

static uint64_t sum(const struct nvme_format_page *page)
{
    struct nvme_format_page copy = *page;
    copy.check = 0;
    return XXH3_64bits(&copy, sizeof copy);
}

void nvme_format_begin(struct nvme_format_page *out_page, enum nvme_format_kind kind,
    const struct nvme_format_home *home)
{
    memset(out_page, 0, sizeof *out_page);
    out_page->magic = NVME_FORMAT_MAGIC;
    out_page->version = NVME_FORMAT_VERSION;
    out_page->kind = (uint16_t)kind;
    out_page->region = home->region;
    out_page->generation = home->generation;
    memcpy(out_page->uuid, home->uuid, sizeof home->uuid);
}

void nvme_format_add(struct nvme_format_page *page, const struct record_header *header,
    struct nvme_format_place place)
{
    assert(page->count < NVME_FORMAT_RECORDS);
    page->record[page->count] = *header;
    page->place[page->count] = place;
    page->count++;
}

void nvme_format_finish(struct nvme_format_page *page)
{
    page->check = sum(page);
}

int nvme_format_check(const struct nvme_format_page *page)
{
    if (page->magic != NVME_FORMAT_MAGIC) {
        return STATUS_MALFORMED;
    }
    /* Before the check: another version may compute it in another way. */
    if (page->version != NVME_FORMAT_VERSION) {
        return STATUS_VERSION;
    }
    return page->check == sum(page) ? STATUS_OK : STATUS_MALFORMED;
}

/* Each record lies in the region, behind its own INDEX page. */
static bool places_fit(const struct nvme_format_page *page, uint64_t region_pages)
{
    if (page->count == 0 || page->count > NVME_FORMAT_RECORDS) {
        return false;
    }
    for (uint32_t i = 0; i < page->count; i++) {
        const struct nvme_format_place *place = &page->place[i];
        uint64_t stored = page->record[i].stored_bytes;
        if (place->back == 0 || place->back >= place->page || stored == 0 ||
            stored > region_pages * NVME_FORMAT_PAGE ||
            place->page + (uint64_t)nvme_format_pages(stored) > region_pages) {
            return false;
        }
    }
    return true;
}

int nvme_format_check_home(const struct nvme_format_page *page, enum nvme_format_kind kind,
    const struct nvme_format_home *home)
{
    int status = nvme_format_check(page);
    if (status != STATUS_OK) {
        return status;
    }
    if (page->kind != (uint16_t)kind || page->region != home->region ||
        page->generation != home->generation ||
        memcmp(page->uuid, home->uuid, sizeof home->uuid) != 0) {
        return STATUS_MISS;
    }
    uint64_t region_pages = home->region_bytes / NVME_FORMAT_PAGE;
    bool fits = true;
    if (kind == NVME_FORMAT_INDEX || kind == NVME_FORMAT_FOOTER) {
        fits = places_fit(page, region_pages);
    }
    if (kind == NVME_FORMAT_INDEX) {
        fits = fits && page->next_page <= region_pages;
    } else if (kind == NVME_FORMAT_END) {
        /* The region's own page, the pages of the footer, and this one. */
        fits = page->sequence <= region_pages - 2 &&
               page->sequence == nvme_format_footers(page->count);
    }
    return fits ? STATUS_OK : STATUS_MALFORMED;
}
