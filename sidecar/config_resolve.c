/* config_resolve: decides what is "auto", checks how values fit together, takes over new ones.
 * Called by main, at start and when the file is read again. */
#include "sidecar/config.h"

#include "cuda/slab.h"
#include "shm/layout.h"
#include "shm/status.h"
#include "sidecar/config_table.h"

#include <assert.h>
#include <string.h>

#define POOL_AUTO_MOST ((uint64_t)(64 * CONFIG_GIB))
#define POOL_AUTO_BLIND ((uint64_t)CONFIG_GIB) /* when the host does not say what it has */
#define HUGE_WORTH ((uint64_t)CONFIG_GIB) /* fewer free huge pages are somebody's remainder */
#define EXTENT_AUTO_MOST ((uint64_t)(256 * CONFIG_MIB))
#define EXTENT_LEAST ((uint64_t)CONFIG_MIB)
#define POLL_AUTO_NS UINT64_C(50000)
#define NVME_REGIONS_LEAST 4u /* one open, one kept free, two to choose from */

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* Reserved huge pages have no other use than this; of ordinary memory others need their half. */
static uint64_t choose_pool(const struct config *config, const struct host *host)
{
    uint64_t huge = config->huge_pages == CONFIG_HUGE_NO ? 0 : host->huge_free_bytes;
    if (huge >= HUGE_WORTH || (huge > 0 && config->huge_pages == CONFIG_HUGE_YES)) {
        return least_of(huge, POOL_AUTO_MOST);
    }
    if (host->memory_bytes == HOST_UNKNOWN) {
        return POOL_AUTO_BLIND;
    }
    return least_of(host->memory_bytes / 2, POOL_AUTO_MOST);
}

/* Sixteen extents let several block sizes share even a small pool. */
static uint64_t choose_extent(const struct config *config, uint64_t pool, bool pool_may_shrink)
{
    uint64_t extent = EXTENT_LEAST;
    while (extent * 2 <= pool / 16 && extent < EXTENT_AUTO_MOST) {
        extent *= 2;
    }
    while (!pool_may_shrink && extent > EXTENT_LEAST && pool % extent != 0) {
        extent /= 2;
    }
    return extent > config->slot_min_bytes ? extent : config->slot_min_bytes;
}

static void decide(struct config *config, const struct host *host)
{
    bool pool_auto = config->pool_bytes == CONFIG_AUTO;
    if (pool_auto) {
        config->pool_bytes = choose_pool(config, host);
    }
    if (config->extent_bytes == CONFIG_AUTO) {
        config->extent_bytes = choose_extent(config, config->pool_bytes, pool_auto);
    }
    if (pool_auto) {
        config->pool_bytes -= config->pool_bytes % config->extent_bytes;
    }
    if (config->poll_ns == CONFIG_AUTO) {
        config->poll_ns = host->cpus_usable < 2 ? 0 : POLL_AUTO_NS;
    }
}

/* Relations of the cold tier's values. */
static int check_nvme(const struct config *config, char *why, size_t why_bytes)
{
    uint64_t region = config->nvme_region_bytes;
    uint64_t size = config->nvme_size_bytes;
    if (region != CONFIG_AUTO && !power_of_two(region)) {
        (void)snprintf(why, why_bytes,
            "nvme_region is not a power of two; write one, such as 64MiB or 256MiB");
    } else if (region != CONFIG_AUTO && size != CONFIG_AUTO && size / region < NVME_REGIONS_LEAST) {
        (void)snprintf(why, why_bytes,
            "nvme_size (%llu MiB) has fewer than %u regions of %llu MiB; make nvme_size larger or "
            "nvme_region smaller",
            (unsigned long long)(size >> 20), NVME_REGIONS_LEAST,
            (unsigned long long)(region >> 20));
    } else if (config->nvme[0] == '\0' && config->nvme_key_file[0] != '\0') {
        (void)snprintf(why, why_bytes,
            "nvme_key_file is set but nvme is empty: nothing would be encrypted; name a directory "
            "in nvme, or leave nvme_key_file out");
    } else {
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

uint32_t config_devices(const struct config *config)
{
    uint32_t count = 1;
    for (const char *at = config->device; *at != '\0'; at++) {
        count += *at == ',' ? 1 : 0;
    }
    return config->device_pool_bytes == 0 || strcmp(config->device, "none") == 0 ? 0 : count;
}

/* Relations of the device pool's values. An extent lies in one slab: cuIpc handles have no common
 * range of addresses. */
static int check_device(const struct config *config, char *why, size_t why_bytes)
{
    uint64_t pool = config->device_pool_bytes;
    uint64_t slab = slab_choose_bytes(pool, config->extent_bytes);
    uint64_t whole = pool < slab ? slab : pool - pool % slab;
    uint64_t slots = (config->pool_bytes + config_devices(config) * pool) / config->slot_min_bytes;
    if (pool == 0) {
        return STATUS_OK;
    }
    if (pool % slab != 0) {
        (void)snprintf(why, why_bytes,
            "device_pool (%llu B) is not a whole number of slabs of %llu MiB; write device_pool = "
            "%lluMiB",
            (unsigned long long)pool, (unsigned long long)(slab >> 20),
            (unsigned long long)(whole >> 20));
    } else if (slots > LAYOUT_SLOTS_MAX) {
        (void)snprintf(why, why_bytes,
            "pool and device pools would have %llu slots of slot_min, more than %u; make slot_min "
            "larger",
            (unsigned long long)slots, LAYOUT_SLOTS_MAX);
    } else if (pool / 100 * (uint64_t)config->grants_share < config->slot_min_bytes) {
        (void)snprintf(why, why_bytes,
            "%lld percent of the device pool (%llu MiB) is less than a slot of slot_min (%llu "
            "KiB), so no worker could be lent one; make device_pool or grants_share larger",
            (long long)config->grants_share, (unsigned long long)(pool >> 20),
            (unsigned long long)(config->slot_min_bytes >> 10));
    } else {
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

/* All relations between values, in one place. */
static int check(const struct config *config, char *why, size_t why_bytes)
{
    unsigned long long pool = config->pool_bytes;
    unsigned long long extent = config->extent_bytes;
    unsigned long long slot = config->slot_min_bytes;
    if (!power_of_two(extent) || !power_of_two(slot)) {
        (void)snprintf(why, why_bytes,
            "%s: it is not a power of two; write one, such as 64KiB or 256MiB",
            power_of_two(extent) ? "slot_min" : "extent");
    } else if (slot > extent) {
        (void)snprintf(why, why_bytes,
            "slot_min (%llu KiB) is larger than extent (%llu KiB); make slot_min smaller or extent "
            "larger",
            slot >> 10, extent >> 10);
    } else if (extent > pool) {
        (void)snprintf(why, why_bytes,
            "extent (%llu MiB) is larger than the pool (%llu MiB); make pool larger or extent "
            "smaller",
            extent >> 20, pool >> 20);
    } else if (pool % extent != 0) {
        (void)snprintf(why, why_bytes,
            "the pool (%llu B) is not a whole number of extents; write pool = %lluMiB, or a "
            "smaller "
            "extent",
            pool, (pool - pool % extent) >> 20);
    } else if (pool / slot > LAYOUT_SLOTS_MAX) {
        (void)snprintf(why, why_bytes,
            "the pool would have %llu slots of slot_min, more than %u; make slot_min larger",
            pool / slot, LAYOUT_SLOTS_MAX);
    } else if (pool / 100 * (uint64_t)config->grants_share < slot) {
        (void)snprintf(why, why_bytes,
            "%lld percent of the pool (%llu MiB) is less than a slot of slot_min (%llu KiB), so no "
            "worker could be lent one; make pool or grants_share larger",
            (long long)config->grants_share, pool >> 20, slot >> 10);
    } else {
        int status = check_nvme(config, why, why_bytes);
        return status == STATUS_OK ? check_device(config, why, why_bytes) : status;
    }
    return STATUS_INVALID;
}

int config_resolve(struct config *config, const struct host *host, char *why, size_t why_bytes)
{
    assert(why_bytes > 0);
    struct config decided = *config;
    why[0] = '\0';
    decide(&decided, host);
    int status = check(&decided, why, why_bytes);
    if (status == STATUS_OK) {
        *config = decided;
    }
    return status;
}

void config_reload(struct config *running, const struct config *fresh, char *why, size_t why_bytes)
{
    assert(why_bytes > 0);
    size_t used = 0;
    why[0] = '\0';
    for (uint32_t option = 0; option < CONFIG_OPTIONS; option++) {
        const struct config_row *row = config_table_row(option);
        void *old = config_table_field(running, option);
        const void *new = config_table_value(fresh, option);
        if (row->reloadable) {
            memcpy(old, new, row->bytes);
            running->source[option] = fresh->source[option];
        } else if (running->source[option].automatic && fresh->source[option].automatic) {
            continue; /* the host changed, not the wish */
        } else if (memcmp(old, new, row->bytes) != 0 && used < why_bytes) {
            used += (size_t)snprintf(
                why + used, why_bytes - used, "%s%s", used == 0 ? "" : ", ", row->name);
        }
    }
}
