/* server_tiers: see server_tiers.h. */
#include "sidecar/server_tiers.h"

#include "shm/status.h"
#include "sidecar/block/cold.h"
#include "sidecar/moment.h"
#include "sidecar/server.h"
#include "sidecar/session/dispatch.h"
#include "sidecar/session/reply.h"
#include "sidecar/tier/nvme_format.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define COLD_BLOCKS_MOST UINT64_C(16777216) /* by themselves: 256 MiB of hints */
#define FREE_PART 2u /* of the free space is taken by "auto" */
#define REGION_PART 128u /* of a file, or a little more: "auto" of nvme_region */
#define REGION_LEAST (UINT64_C(16) << 20)
#define REGION_MOST (UINT64_C(256) << 20)
#define REGIONS_FEW 16u /* no fewer for the sake of large blocks */
#define BLOCKS_A_REGION 4u
#define SAVE_LOOK_NS INT64_C(1000000)

static void cut_paths(struct server_tiers_plan *plan)
{
    char *rest = plan->paths;
    char *path;
    while ((path = strsep(&rest, ":")) != NULL) {
        if (path[0] != '\0' && plan->directory_count < TIER_NVME_DIRS) {
            plan->directories[plan->directory_count++] = path;
        }
    }
}

/* How many of the directories lie on the same file system: its free space is for all of them. */
static uint32_t sharers(const struct server_tiers_plan *plan, dev_t device)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->directory_count; i++) {
        struct stat about;
        count += stat(plan->directories[i], &about) == 0 && about.st_dev == device ? 1 : 0;
    }
    return count > 0 ? count : 1;
}

/* Is there a file of an earlier life? */
static bool find_file(const char *directory, struct stat *out_about)
{
    char path[CONFIG_PATHS_BYTES + sizeof TIER_NVME_FILE + 1];
    (void)snprintf(path, sizeof path, "%s/" TIER_NVME_FILE, directory);
    return stat(path, out_about) == 0;
}

/* "auto": the size of the file that is there, else half of what is free. */
static int measure(const struct server_tiers_plan *plan, const char *directory, uint64_t *out_bytes,
    char *why, size_t why_bytes)
{
    struct stat about;
    struct statvfs room;
    if (find_file(directory, &about)) {
        *out_bytes = (uint64_t)about.st_size;
        return STATUS_OK;
    }
    if (stat(directory, &about) != 0 || statvfs(directory, &room) != 0) {
        (void)snprintf(why, why_bytes, "nvme: %s: %s; make the directory, and let user %u write it",
            directory, strerror(errno), (unsigned)geteuid());
        return STATUS_IO;
    }
    *out_bytes = room.f_bavail * room.f_frsize / FREE_PART / sharers(plan, about.st_dev);
    return STATUS_OK;
}

/* Large enough for the largest blocks, if that leaves a number of regions. */
static uint64_t region_for(const struct config *config, uint64_t bytes)
{
    uint64_t region = REGION_LEAST;
    while (region < REGION_MOST && region * REGION_PART < bytes) {
        region *= 2;
    }
    while (region < REGION_MOST && region < config->extent_bytes * BLOCKS_A_REGION &&
           bytes / region >= 2 * REGIONS_FEW) {
        region *= 2;
    }
    return region;
}

/* What nvme_file makes of a wish: a head, and whole regions. */
static uint64_t file_bytes(uint64_t bytes, uint64_t region)
{
    uint64_t head = NVME_FORMAT_FIRST;
    return bytes < head ? 0 : head + (bytes - head) / region * region;
}

/* Every file gets the size of the smallest: blocks are striped evenly. */
static int plan_bytes(
    const struct config *config, struct server_tiers_plan *plan, char *why, size_t why_bytes)
{
    plan->bytes = config->nvme_size_bytes;
    for (uint32_t i = 0; i < plan->directory_count && config->nvme_size_bytes == CONFIG_AUTO; i++) {
        uint64_t bytes;
        int status = measure(plan, plan->directories[i], &bytes, why, why_bytes);
        if (status != STATUS_OK) {
            return status;
        }
        plan->bytes = bytes < plan->bytes ? bytes : plan->bytes;
    }
    plan->region_bytes = config->nvme_region_bytes;
    if (config->nvme_region_bytes == CONFIG_AUTO) {
        /* What the tier makes of a size is a few regions less; the region of that must be the same,
         * or the next start would want another one. */
        for (uint32_t i = 0; i < 3; i++) {
            plan->region_bytes = region_for(config, plan->bytes);
            plan->bytes = file_bytes(plan->bytes, plan->region_bytes);
        }
    } else {
        plan->bytes = file_bytes(plan->bytes, plan->region_bytes);
    }
    return STATUS_OK;
}

int server_tiers_plan(
    const struct config *config, struct server_tiers_plan *out_plan, char *why, size_t why_bytes)
{
    struct server_tiers_plan *plan = out_plan;
    *plan = (struct server_tiers_plan){0};
    (void)snprintf(plan->paths, sizeof plan->paths, "%s", config->nvme);
    cut_paths(plan);
    if (plan->directory_count == 0) {
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < plan->directory_count; i++) {
        struct stat about;
        plan->found = find_file(plan->directories[i], &about) || plan->found;
    }
    int status = plan_bytes(config, plan, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t cold = (uint64_t)config->cold_blocks;
    if (cold == 0) {
        cold = plan->directory_count * plan->bytes / config->slot_min_bytes;
        cold = cold < COLD_BLOCKS_MOST ? cold : COLD_BLOCKS_MOST;
    }
    plan->cold_blocks = (uint32_t)cold;
    return STATUS_OK;
}

static int open_nvme(
    const struct server *server, struct tier **out_tier, char *why, size_t why_bytes)
{
    const struct config *config = &server->config;
    const struct server_tiers_plan *plan = &server->tiers.plan;
    /* Larger ones stay in memory: the tier refuses them. */
    uint64_t block_most = plan->region_bytes / 2;
    block_most = config->extent_bytes < block_most ? config->extent_bytes : block_most;
    struct tier_nvme_options options = {
        .directory_count = plan->directory_count,
        .bytes = plan->bytes,
        .region_bytes = plan->region_bytes,
        .block_bytes_most = block_most,
        .written_bytes_a_day = config->nvme_writes_bytes,
        .codec = (enum codec)config->nvme_codec,
        .key_file = config->nvme_key_file,
        .io = (enum tier_nvme_io)config->nvme_io,
        .depth = (uint32_t)config->nvme_depth,
        .pool = server->memory.pool.segment.base,
        .pool_bytes = server->memory.pool.segment.bytes,
        .log = server->log,
    };
    memcpy(options.directories, plan->directories, sizeof options.directories);
    return tier_nvme_open(&options, out_tier, why, why_bytes);
}

/* The loop only has to wake up: every turn looks at the tiers. */
static void tier_spoke(void *context, uint32_t what)
{
    (void)context;
    (void)what;
}

static int watch(struct server *server, uint32_t number, char *why, size_t why_bytes)
{
    struct server_tiers *at = &server->tiers;
    int fd = tier_fd(at->tiers.tier[number]);
    if (fd < 0) {
        return STATUS_OK;
    }
    int status = loop_watch(server->loop, fd, LOOP_LEVEL, tier_spoke, server, &at->watches[number]);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "a tier's events cannot be watched: %s", strerror(errno));
    }
    return status;
}

int server_tiers_open(struct server *server, char *why, size_t why_bytes)
{
    struct server_tiers *at = &server->tiers;
    struct tier *tier = NULL;
    if (at->plan.directory_count == 0) {
        return STATUS_OK;
    }
    int status = tiers_open(&at->tiers, &server->blocks.index, server->blocks.counters);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "no memory to keep the books of cold blocks");
        return status;
    }
    at->open = true;
    status = open_nvme(server, &tier, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    log_line(server->log, strstr(why, "remedy") != NULL ? LOG_WARN : LOG_INFO, "tier", "%s", why);
    tiers_add(&at->tiers, tier);
    cold_attach(&server->blocks, &at->tiers, server->memory.pool.segment.base);
    if (at->plan.found) {
        cold_search(&server->blocks, moment_ns());
    }
    const struct registry *registry = &server->sessions.registry;
    for (uint32_t i = 0; i < registry->count; i++) {
        const struct registry_entry *entry = &registry->entries[i];
        cold_space(&server->blocks, entry->number, &entry->space, entry->group);
    }
    return watch(server, 0, why, why_bytes);
}

bool server_tiers_turn(struct server *server)
{
    if (!server->tiers.open && !move_can(&server->blocks)) {
        return false;
    }
    struct fetch_means means = reply_means(&server->sessions);
    uint32_t work;
    bool more = cold_turn(&server->blocks, &means, &work);
    if (work > 0) {
        dispatch_wake(&server->sessions);
    }
    return more;
}

uint64_t server_tiers_tick(struct server *server)
{
    struct fetch_means means = reply_means(&server->sessions);
    server->blocks.spills.always = server->config.nvme_admit == CONFIG_ADMIT_ALWAYS;
    return cold_tick(&server->blocks, &means);
}

static void save(struct server *server)
{
    uint64_t until_ns = moment_ns() + SERVER_TIERS_SAVE_NS;
    struct cold_cursor cursor = {0};
    bool saved = false;
    do {
        server->sessions.now_ns = moment_ns();
        struct fetch_means means = reply_means(&server->sessions);
        saved = cold_save(&server->blocks, &means, &cursor);
        if (!saved) {
            (void)loop_turn(server->loop, SAVE_LOOK_NS);
        }
    } while (!saved && server->sessions.now_ns < until_ns);
    log_line(server->log, saved ? LOG_INFO : LOG_WARN, "tier",
        saved ? "all blocks that are worth it are on disk"
              : "stopped after %u s, with blocks that are not on disk: the next start has fewer",
        (unsigned)(SERVER_TIERS_SAVE_NS / 1000000000u));
}

void server_tiers_close(struct server *server)
{
    struct server_tiers *at = &server->tiers;
    if (!at->open) {
        return;
    }
    if (at->tiers.count > 0) {
        save(server);
    }
    for (uint32_t i = 0; i < TIERS_MAX; i++) {
        loop_unwatch(server->loop, at->watches[i]);
        at->watches[i] = NULL;
    }
    cold_attach(&server->blocks, NULL, NULL);
    tiers_close(&at->tiers, SERVER_TIERS_CLOSE_NS);
    at->open = false;
}

void server_tiers_describe(const struct server *server, char *out_text, size_t text_bytes)
{
    size_t used = 0;
    for (uint32_t i = 0; i < server->tiers.tiers.count && used < text_bytes; i++) {
        const struct tier *tier = server->tiers.tiers.tier[i];
        char line[TIER_WHY];
        tier->ops->describe(tier, line, sizeof line);
        int length =
            snprintf(out_text + used, text_bytes - used, "tier %s %s\n", tier->ops->name, line);
        used += length > 0 ? (size_t)length : 0;
    }
}

void server_tiers_explain(const struct config *config, FILE *out)
{
    struct server_tiers_plan plan;
    char why[TIER_WHY];
    if (server_tiers_plan(config, &plan, why, sizeof why) != STATUS_OK) {
        (void)fprintf(out, "tier: %s\n", why);
        return;
    }
    if (plan.directory_count == 0) {
        (void)fprintf(out, "tier: none below memory; name a directory on a local disk in nvme\n");
        return;
    }
    (void)fprintf(out,
        "tier: nvme in %u director%s, %llu MiB each in regions of %llu MiB, codec %s%s; takes %s; "
        "the index names %u cold blocks\n",
        plan.directory_count, plan.directory_count == 1 ? "y" : "ies",
        (unsigned long long)(plan.bytes >> 20), (unsigned long long)(plan.region_bytes >> 20),
        codec_name((enum codec)config->nvme_codec),
        config->nvme_key_file[0] == '\0' ? "" : ", encrypted",
        config->nvme_admit == CONFIG_ADMIT_ALWAYS ? "all that leaves the pool"
                                                  : "what was used a second time",
        plan.cold_blocks);
}
