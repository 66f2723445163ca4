/* tier_nvme: opens and closes the tier, and says how it is. See tier_nvme.h; its parts: nvme.h. */
#include "sidecar/tier/tier_nvme.h"

#include "shm/status.h"
#include "sidecar/moment.h"
#include "sidecar/tier/nvme.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define REGION_LEAST (16 * MIB)
#define REGION_MOST GIB
#define BLOCKS_A_REGION 4u /* a region has room for so many of the largest blocks */
#define USUAL_BLOCK 65536u
#define CATALOG_MOST (UINT32_C(1) << 28)
#define DEPTH 32u
#define DEPTH_MOST 128u

/* Large enough for the blocks, small enough that giving one up is a small part of the whole. */
static uint64_t choose_region(const struct tier_nvme_options *options)
{
    if (options->region_bytes != 0) {
        return options->region_bytes;
    }
    uint64_t region = REGION_LEAST;
    while (region < REGION_MOST && (region < BLOCKS_A_REGION * options->block_bytes_most ||
                                       (region < 256 * MIB && region * 128 < options->bytes))) {
        region *= 2;
    }
    return region;
}

static int check(const struct tier_nvme_options *options, uint64_t region, char *why, size_t bytes)
{
    const char *what = NULL;
    if (options->directory_count == 0 || options->directory_count > TIER_NVME_DIRS) {
        what = "1 to 8 directories are needed";
    } else if (region < REGION_LEAST || region > REGION_MOST || (region & (region - 1)) != 0) {
        what = "region_bytes is a power of two, 16 MiB to 1 GiB";
    } else if (options->block_bytes_most == 0 || options->block_bytes_most > region / 2) {
        what = "the largest block must fit twice into a region of at most 1 GiB";
    } else if (options->depth > DEPTH_MOST) {
        what = "depth is at most 128";
    }
    if (what != NULL) {
        (void)snprintf(why, bytes, "%s; remedy: correct the option", what);
    }
    return what == NULL ? STATUS_OK : STATUS_INVALID;
}

static void *reserve(uint64_t bytes)
{
    void *memory = mmap(
        NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static uint64_t ops_bytes(void)
{
    return (NVME_OPS + NVME_EXTRA) * sizeof(struct nvme_op);
}

/* All ops of a directory, each where it belongs. */
static void deal_ops(struct nvme_dir *dir)
{
    struct nvme_op *op = dir->ops;
    static_assert(NVME_OPS + NVME_EXTRA <= NVME_CHANNEL_OPS, "each ring has room for all");
    for (uint32_t i = 0; i < NVME_OPS; i++) {
        nvme_ask_drop(dir, op++);
    }
    for (uint32_t i = 0; i < NVME_LENT; i++, op++) {
        op->kind = NVME_OP_REGION;
        op->next = dir->region_free;
        dir->region_free = op;
    }
    for (uint32_t i = 0; i < NVME_NOTES; i++, op++) {
        op->kind = NVME_OP_NOTE;
        nvme_channel_ask(dir->channel, op);
    }
    op->kind = NVME_OP_HEADERS;
    nvme_channel_ask(dir->channel, op++);
    for (uint32_t i = 0; i < NVME_PAGES; i++, op++) {
        op->kind = NVME_OP_FOUND;
        op->page = &dir->pages[i];
        nvme_channel_ask(dir->channel, op);
    }
    op->kind = NVME_OP_STOP;
    dir->stop = op;
}

static int open_dir(struct nvme *nvme, const struct tier_nvme_options *options,
    const struct disk_ops *engine, uint32_t index, char *why, size_t why_bytes)
{
    struct nvme_dir *dir = &nvme->dir[index];
    char note[256];
    dir->file.fd = -1;
    dir->leaving = REGION_NONE;
    dir->cursor = CATALOG_NONE;
    dir->opened_ns = moment_ns();
    nvme->dirs = index + 1; /* from here on close_all() gives it back */
    int status = nvme_file_open(options->directories[index], options->bytes, nvme->region_bytes,
        &dir->file, note, sizeof note);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "%s", note);
        return status;
    }
    dir->generations = calloc(dir->file.regions, sizeof *dir->generations);
    dir->pages = calloc(NVME_PAGES, sizeof *dir->pages);
    dir->ops = reserve(ops_bytes());
    status = region_open(&dir->regions, dir->file.regions, (uint8_t)index);
    if (status != STATUS_OK || dir->generations == NULL || dir->pages == NULL || dir->ops == NULL ||
        nvme_channel_open(nvme->event_fd, &dir->channel) != STATUS_OK) {
        (void)snprintf(why, why_bytes, "no memory; remedy: a smaller pool");
        return STATUS_NO_MEMORY;
    }
    status = nvme_thread_start(&(struct nvme_thread_options){.channel = dir->channel,
                                   .file = &dir->file,
                                   .engine = engine,
                                   .rules = nvme->rules,
                                   .block_bytes_most = nvme->block_bytes_most,
                                   .depth = nvme->depth,
                                   .pool = options->pool,
                                   .pool_bytes = options->pool_bytes,
                                   .generations = dir->generations},
        &dir->thread, dir->engine, sizeof dir->engine);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "%.200s: %.250s", dir->file.path, dir->engine);
        return status;
    }
    dir->running = true;
    deal_ops(dir);
    /* The rest is in describe(), which whoever opened the tier says. */
    if (note[0] != '\0' || !dir->file.direct) {
        log_line(nvme->log, LOG_INFO, "nvme", "%s: %s%s", dir->file.path, note,
            dir->file.direct ? "O_DIRECT"
                             : "through the page cache: no O_DIRECT on this file system");
    }
    return STATUS_OK;
}

static void close_all(struct nvme *nvme, uint64_t wait_ns)
{
    uint64_t until_ns = moment_ns() + wait_ns;
    for (uint32_t i = 0; i < nvme->dirs; i++) { /* all stop at the same time */
        struct nvme_dir *dir = &nvme->dir[i];
        if (dir->running) {
            dir->stop->deadline_ns = until_ns < wait_ns ? UINT64_MAX : until_ns;
            nvme_channel_ask(dir->channel, dir->stop);
        }
    }
    for (uint32_t i = 0; i < nvme->dirs; i++) {
        struct nvme_dir *dir = &nvme->dir[i];
        if (dir->running) {
            nvme_thread_join(&dir->thread);
        }
        nvme_channel_close(dir->channel);
        region_close(&dir->regions);
        free(dir->generations);
        free(dir->pages);
        if (dir->ops != NULL) {
            (void)munmap(dir->ops, ops_bytes());
        }
        nvme_file_close(&dir->file);
    }
    if (nvme->catalog.entries != NULL) {
        catalog_close(&nvme->catalog);
    }
    if (nvme->rules.seal != NULL) {
        seal_close(&nvme->seal);
    }
    if (nvme->event_fd >= 0) {
        (void)close(nvme->event_fd);
    }
    free(nvme);
}

static void close_tier(struct tier *tier, uint64_t wait_ns)
{
    if (tier != NULL) {
        close_all((struct nvme *)tier, wait_ns);
    }
}

static int event_of(const struct tier *tier)
{
    return ((const struct nvme *)tier)->event_fd;
}

static void describe(const struct tier *tier, char *out_text, size_t text_bytes)
{
    const struct nvme *nvme = (const struct nvme *)tier;
    size_t at = 0;
    for (uint32_t i = 0; i < nvme->dirs && at < text_bytes; i++) {
        const struct nvme_dir *dir = &nvme->dir[i];
        int length = snprintf(out_text + at, text_bytes - at,
            "%s%.200s: %llu MiB in regions of %llu MiB, %s, %s", i == 0 ? "" : "; ", dir->file.path,
            (unsigned long long)(dir->file.bytes / MIB),
            (unsigned long long)(nvme->region_bytes / MIB),
            dir->file.direct ? "O_DIRECT" : "page cache", dir->engine);
        at += length > 0 ? (size_t)length : 0;
    }
    if (at < text_bytes) {
        (void)snprintf(out_text + at, text_bytes - at, "; codec %s, %s",
            codec_name(nvme->rules.codec),
            nvme->rules.seal != NULL ? "sealed with AES-256-GCM" : "not encrypted");
    }
}

static void add_dir(const struct nvme *nvme, const struct nvme_dir *dir, struct tier_health *health)
{
    health->capacity_bytes += dir->regions.count * nvme->region_bytes;
    for (uint32_t i = 0; i < dir->regions.count; i++) {
        health->used_bytes += dir->regions.region[i].bytes;
    }
    health->written_bytes += shared64_load_relaxed(&dir->channel->written_bytes);
    health->read_bytes += shared64_load_relaxed(&dir->channel->read_bytes);
    health->errors += shared64_load_relaxed(&dir->channel->errors);
    health->corrupt += dir->corrupt + shared64_load_relaxed(&dir->channel->corrupt);
    health->finding = health->finding || dir->pages_over < NVME_PAGES;
    if (nvme_is_down(dir)) {
        (void)snprintf(health->note, sizeof health->note, "%s", dir->note);
    } else {
        health->up = true;
    }
}

static void health_of(const struct tier *tier, struct tier_health *out_health)
{
    const struct nvme *nvme = (const struct nvme *)tier;
    struct tier_health health = nvme->count;
    for (uint32_t i = 0; i < nvme->dirs; i++) {
        add_dir(nvme, &nvme->dir[i], &health);
    }
    health.blocks = nvme->catalog.count;
    *out_health = health;
}

static const struct tier_ops ops = {
    .name = "nvme",
    .store = nvme_ask_store,
    .load = nvme_ask_load,
    .drop = nvme_ask_drop_block,
    .poll = nvme_answer_poll,
    .fd = event_of,
    .describe = describe,
    .health = health_of,
    .close = close_tier,
};

/* Memory for the blocks of all directories: reserved, not used. */
static int open_catalog(struct nvme *nvme, const struct tier_nvme_options *options)
{
    uint64_t bytes = options->bytes * options->directory_count;
    uint64_t most = bytes / NVME_FORMAT_PAGE;
    uint64_t usual = bytes / USUAL_BLOCK;
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        seed = moment_wall_ns();
    }
    most = most < CATALOG_MOST ? most : CATALOG_MOST;
    return catalog_open(&nvme->catalog, most == 0 ? 1 : (uint32_t)most,
        usual < CATALOG_MOST ? (uint32_t)usual : CATALOG_MOST, seed);
}

int tier_nvme_open_on(const struct tier_nvme_options *options, const struct disk_ops *engine,
    struct tier **out_tier, char *why, size_t why_bytes)
{
    assert(options->log != NULL);
    uint64_t region = choose_region(options);
    int status = check(options, region, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    struct nvme *nvme = calloc(1, sizeof *nvme);
    if (nvme == NULL) {
        (void)snprintf(why, why_bytes, "no memory");
        return STATUS_NO_MEMORY;
    }
    nvme->tier.ops = &ops;
    nvme->log = options->log;
    nvme->region_bytes = region;
    nvme->block_bytes_most = options->block_bytes_most;
    nvme->depth = options->depth == 0 ? DEPTH : options->depth;
    nvme->rules.codec = options->codec;
    nvme->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    budget_init(&nvme->budget, options->written_bytes_a_day, moment_ns());
    if (nvme->event_fd < 0 || open_catalog(nvme, options) != STATUS_OK) {
        (void)snprintf(why, why_bytes,
            "no memory for the catalog; remedy: vm.overcommit_memory 0 or 1, a smaller tier");
        status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK && options->key_file != NULL && options->key_file[0] != '\0') {
        status = seal_open(&nvme->seal, options->key_file, why, why_bytes);
        nvme->rules.seal = status == STATUS_OK ? &nvme->seal : NULL;
    }
    for (uint32_t i = 0; i < options->directory_count && status == STATUS_OK; i++) {
        status = open_dir(nvme, options, engine, i, why, why_bytes);
    }
    if (status != STATUS_OK) {
        close_all(nvme, 0);
        return status;
    }
    describe(&nvme->tier, why, why_bytes);
    *out_tier = &nvme->tier;
    return STATUS_OK;
}

int tier_nvme_open(
    const struct tier_nvme_options *options, struct tier **out_tier, char *why, size_t why_bytes)
{
    const struct disk_ops *engine = NULL;
    if (options->io == TIER_NVME_URING) {
        engine = &disk_uring;
    } else if (options->io == TIER_NVME_THREADS) {
        engine = &disk_threads;
    }
    return tier_nvme_open_on(options, engine, out_tier, why, why_bytes);
}
