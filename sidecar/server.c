/* server: opens and closes the parts of a sidecar; server_run.c turns it. */
#include "sidecar/server.h"

#include "cuda/device_host.h"
#include "shm/counter.h"
#include "shm/status.h"
#include "sidecar/moment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* What the server keeps of a slot in its own memory, about: policy, ghosts, links, grants. */
#define BOOK_BYTES 320u

static struct blocks_limits limits_of(const struct config *config)
{
    static const enum policy_kind kinds[] = {
        [CONFIG_POLICY_ADAPTIVE] = POLICY_ADAPTIVE,
        [CONFIG_POLICY_ARC] = POLICY_ARC,
        [CONFIG_POLICY_LRU] = POLICY_LRU,
    };
    uint64_t seed = 0;
    (void)getrandom(&seed, sizeof seed, GRND_NONBLOCK);
    struct blocks_limits limits = {
        .pool_bytes = config->pool_bytes,
        .extent_bytes = config->extent_bytes,
        .slot_bytes_min = config->slot_min_bytes,
        .policy = kinds[config->policy],
        .quarantine_ns = config->quarantine_ns,
        .claims =
            {
                .sessions_max = SESSION_PLACES,
                .claims_max = 1u << 16,
                .waiters_max = 1u << 16,
                .claims_per_session = 4096,
                .waits_per_session = LANE_EVENTS,
                .seed = seed,
            },
    };
    return limits;
}

static int open_pool(struct server *server, char *why, size_t why_bytes)
{
    const struct host *host = &server->host;
    struct device_wish wish = {
        .bytes = server->config.pool_bytes,
        .huge = (enum device_huge)server->config.huge_pages,
        .node = (int32_t)server->config.numa_node,
        .available_bytes = host->memory_bytes,
        .huge_page_bytes = host->huge_page_bytes,
        .huge_free_bytes = host->huge_free_bytes,
        .shmem_thp = host->shmem_thp,
    };
    int status = device_host.open(&wish, &server->memory.pool, why, why_bytes);
    if (status == STATUS_OK) {
        log_line(
            server->log, strstr(why, "remedy") != NULL ? LOG_WARN : LOG_INFO, "device", "%s", why);
    }
    return status;
}

/* Host memory and devices together. */
static uint64_t bytes_of(const struct server *server)
{
    return server->config.pool_bytes + server->devices.devices.count * server_devices_bytes(server);
}

static uint32_t slots_of(const struct server *server)
{
    const struct config *config = &server->config;
    return blocks_slots(config->pool_bytes, server_devices_bytes(server),
        server->devices.devices.count, config->extent_bytes, config->slot_min_bytes);
}

/* What memory of this configuration, with the devices that there are, looks like. */
static struct recover_sizes sizes_of(const struct server *server)
{
    const struct config *config = &server->config;
    uint32_t slots = slots_of(server);
    return (struct recover_sizes){
        .pool_bytes = config->pool_bytes,
        .extent_bytes = config->extent_bytes,
        .slot_min_bytes = config->slot_min_bytes,
        .index_bytes = layout_index_bytes(slots, server->tiers.plan.cold_blocks),
        .ledger_bytes = ledger_bytes(slots, bytes_of(server) / config->extent_bytes),
        .device_bytes = server_devices_bytes(server),
        .devices = server->devices.devices.count,
        .abi = LAYOUT_ABI,
    };
}

/* Does what comes beside the pool fit into memory? */
static int check_memory(const struct server *server, uint64_t bytes, char *why, size_t why_bytes)
{
    uint32_t slots = slots_of(server);
    uint64_t free = server->host.memory_bytes;
    uint64_t pool = server->memory.pool.segment.huge ? 0 : server->config.pool_bytes;
    uint64_t books = (uint64_t)slots * BOOK_BYTES;
    if (free != HOST_UNKNOWN && pool + bytes + books > free) {
        (void)snprintf(why, why_bytes,
            "beside the pool, an index of %llu MiB and %llu MiB of books for %u slots do not fit "
            "into memory; raise slot_min, or make the pool smaller",
            (unsigned long long)(bytes >> 20), (unsigned long long)(books >> 20), slots);
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

/* The index, and with a keeper the ledger, which is for the next server. */
static int open_index(struct server *server, char *why, size_t why_bytes)
{
    const struct config *config = &server->config;
    const struct recover_sizes sizes = sizes_of(server);
    uint32_t slots = slots_of(server);
    int status = check_memory(server, sizes.index_bytes, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    status = segment_make("cistern-index", sizes.index_bytes, false, &server->memory.index);
    if (status == STATUS_OK && server->keep != NULL) {
        status = segment_make("cistern-ledger", sizes.ledger_bytes, false, &server->memory.ledger);
    }
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes,
            "no memory for an index of %llu MiB (%u slots): %s; raise slot_min or make the pool "
            "smaller",
            (unsigned long long)(sizes.index_bytes >> 20), slots, strerror(errno));
        return status;
    }
    /* Two servers never share an epoch: a client would take the one for the other. */
    uint64_t epoch = (uint64_t)moment_wall_ns() | 1;
    layout_index_init(server->memory.index.base, slots, server->tiers.plan.cold_blocks,
        config->pool_bytes, epoch);
    if (server->keep != NULL) {
        ledger_init(server->memory.ledger.base, slots, bytes_of(server) / config->extent_bytes);
    }
    return STATUS_OK;
}

/* Fresh memory, which the keeper has before any client hears of it. */
static int make_memory(struct server *server, char *why, size_t why_bytes)
{
    if (slots_of(server) == 0) {
        (void)snprintf(why, why_bytes,
            "pool, device_pool, extent and slot_min do not fit together; leave extent and slot_min "
            "on their defaults");
        return STATUS_INVALID;
    }
    int status = open_pool(server, why, why_bytes);
    if (status == STATUS_OK) {
        status = open_index(server, why, why_bytes);
    }
    if (status == STATUS_OK) {
        struct recover_sizes sizes = sizes_of(server);
        sizes.huge = server->memory.pool.segment.huge;
        sizes.node = server->memory.pool.node;
        status = recover_hold(server->keep, &server->memory, &sizes);
        if (status != STATUS_OK) {
            (void)snprintf(why, why_bytes, "the keeper does not answer");
        }
    }
    return status;
}

static int open_blocks(struct server *server, char *why, size_t why_bytes)
{
    const struct recover_memory *memory = &server->memory;
    struct blocks_limits limits = limits_of(&server->config);
    limits.devices = server->devices.devices.count;
    limits.device_bytes = server_devices_bytes(server);
    limits.ledger = memory->ledger.base;
    limits.ledger_bytes = memory->ledger.bytes;
    bool fetches = server->tiers.plan.directory_count > 0 || limits.devices > 0;
    limits.fetches_max = fetches ? FETCH_READS_MOST : 0;
    server->header = memory->index.base;
    int status = blocks_open(&server->blocks, &limits, memory->index.base, memory->index.bytes);
    if (status == STATUS_NO_MEMORY) {
        (void)snprintf(why, why_bytes, "no memory to keep the books of %u slots; raise slot_min",
            slots_of(server));
    } else if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "the index does not fit the configuration");
    }
    return status;
}

static int open_loop(struct server *server, char *why, size_t why_bytes)
{
    int status = loop_open(&server->loop, (enum loop_choice)server->config.io, why, why_bytes);
    if (status == STATUS_OK) {
        log_line(server->log, LOG_INFO, "loop", "%s", why);
    }
    return status;
}

static int open_door(struct server *server, char *why, size_t why_bytes)
{
    server->index_readonly = segment_open_readonly(&server->memory.index);
    server->pool_readonly = segment_open_readonly(&server->memory.pool.segment);
    if (server->index_readonly < 0 || server->pool_readonly < 0) {
        (void)snprintf(why, why_bytes,
            "cannot open shared memory for reading: %s; /proc must be mounted", strerror(errno));
        return STATUS_IO;
    }
    server->door.table = &server->sessions;
    server->door.describe = server_describe;
    server->door.context = server;
    server->door.gifts = (struct welcome_gifts){
        .index_readonly = server->index_readonly,
        .pool_readonly = server->pool_readonly,
        .pool_writable = server->memory.pool.segment.fd,
        .index_bytes = server->memory.index.bytes,
        .pool_bytes = server->memory.pool.segment.bytes,
        .epoch = shared64_load_relaxed(&server->header->epoch),
        .devices = server->devices.devices.gift,
        .device_count = server->devices.devices.count,
    };
    return door_open(
        &server->door, server->config.socket, server->config.socket_mode, why, why_bytes);
}

static int open_sessions(struct server *server, char *why, size_t why_bytes)
{
    struct session_table *table = &server->sessions;
    int status = session_open_table(table, &server->blocks, server->loop, server->log,
        &server->config, server->memory.pool.segment.base);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "no memory to keep the books of sessions; raise slot_min");
        return status;
    }
    table->now_ns = moment_ns();
    table->keep = server->keep;
    table->registry.keep = server->keep;
    return STATUS_OK;
}

/* All parts but the door; `warm`: over the memory of the server before. */
static int open_parts(struct server *server, bool warm, char *why, size_t why_bytes)
{
    int status;
    if (warm) {
        devices_adopt(&server->devices.devices, server->keep, server->log);
        const struct recover_sizes sizes = sizes_of(server);
        status = recover_map(server->keep, &sizes, &server->memory, why, why_bytes);
    } else {
        status = server_devices_open(server, why, why_bytes);
        status = status == STATUS_OK ? make_memory(server, why, why_bytes) : status;
    }
    if (status == STATUS_OK) {
        status = open_blocks(server, why, why_bytes);
    }
    if (status == STATUS_OK) {
        status = open_loop(server, why, why_bytes);
    }
    if (status == STATUS_OK) {
        status = open_sessions(server, why, why_bytes);
    }
    if (status == STATUS_OK && warm) {
        status = recover_take(
            &server->sessions, server->devices.devices.lost, server->started_ns, why, why_bytes);
    }
    return status == STATUS_OK ? server_devices_start(server, why, why_bytes) : status;
}

/* At a first start a tier that cannot be opened is an error. After a takeover the blocks in memory
 * are worth more than the lesson. */
static int open_tiers(struct server *server, bool warm, char *why, size_t why_bytes)
{
    int status = server_tiers_open(server, why, why_bytes);
    if (status != STATUS_OK && warm) {
        log_line(server->log, LOG_ERROR, "server",
            "%s: %s; going on without it until the next start", status_name(status), why);
        server_tiers_close(server);
        status = STATUS_OK;
    }
    return status;
}

int server_open(struct server *out_server, const struct config *config, const struct host *host,
    struct log *log, struct keep *keep, char *why, size_t why_bytes)
{
    struct server *server = out_server;
    *server = (struct server){
        .config = *config,
        .host = *host,
        .log = log,
        .keep = keep,
        .memory = {.pool = DEVICE_POOL_NONE, .index = SEGMENT_NONE, .ledger = SEGMENT_NONE},
        .index_readonly = -1,
        .pool_readonly = -1,
        .started_ns = moment_ns(),
        .door = {.socket = -1, .lock = -1},
    };
    bool warm = recover_can(keep);
    server->again = warm || (keep != NULL && keep->cold);
    int status = server_tiers_plan(config, &server->tiers.plan, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    status = warm ? open_parts(server, true, why, why_bytes) : STATUS_MISS;
    if (warm && status != STATUS_OK) {
        log_line(log, LOG_ERROR, "server", "%s: %s; starting with an empty cache",
            status_name(status), why);
        server_close(server);
    }
    if (status != STATUS_OK) {
        warm = false;
        recover_renounce(keep);
        status = open_parts(server, false, why, why_bytes);
    }
    if (status == STATUS_OK) {
        status = open_tiers(server, warm, why, why_bytes);
    }
    if (status == STATUS_OK) {
        status = open_door(server, why, why_bytes);
    }
    if (status != STATUS_OK) {
        server_close(server);
        return status;
    }
    log_line(log, LOG_INFO, "server",
        "serving on %s: pool of %llu MiB in extents of %llu MiB, %u slots of at least %llu KiB, "
        "policy %s, polls for %llu us",
        server->config.socket, (unsigned long long)(server->config.pool_bytes >> 20),
        (unsigned long long)(server->config.extent_bytes >> 20), server->blocks.index.slots,
        (unsigned long long)(server->config.slot_min_bytes >> 10),
        server->blocks.policies[0].ops->name, (unsigned long long)(server->config.poll_ns / 1000));
    return STATUS_OK;
}

void server_stop(struct server *server)
{
    server->stop = true;
}

void server_reload(struct server *server, const struct config *fresh)
{
    char why[SERVER_WHY];
    config_reload(&server->config, fresh, why, sizeof why);
    server->log->level = (enum log_level)server->config.log_level;
    server->blocks.quarantine.delay_ns = server->config.quarantine_ns;
    log_line(server->log, LOG_INFO, "server", "configuration read again%s%s",
        why[0] == '\0' ? "" : "; needs a restart: ", why);
}

void server_close(struct server *server)
{
    if (server->header != NULL) {
        /* Clients compare it with the epoch of their attach, after their fence, and leave. */
        uint64_t epoch = shared64_load_relaxed(&server->header->epoch);
        shared64_store_relaxed(&server->header->epoch, epoch + 1);
        shared_fence_full();
    }
    if (server->door.lock >= 0) {
        door_close(&server->door);
    }
    server_tiers_close(server);
    server_devices_close(server);
    if (server->sessions.places != NULL) {
        /* The keeper ends with us, or forgets all of it at once (recover_renounce()). */
        server->sessions.keep = NULL;
        session_close_table(&server->sessions);
    }
    loop_close(server->loop);
    server->loop = NULL;
    blocks_close(&server->blocks);
    server->header = NULL;
    segment_close(&server->memory.index);
    segment_close(&server->memory.ledger);
    if (server->memory.pool.device != NULL && !server->devices.hung) {
        device_host.close(&server->memory.pool);
    }
    for (int i = 0; i < 2; i++) {
        int *fd = i == 0 ? &server->index_readonly : &server->pool_readonly;
        if (*fd >= 0) {
            (void)close(*fd);
            *fd = -1;
        }
    }
}
