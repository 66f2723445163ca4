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

/* What the server keeps of a slot in its own memory, about: policy, ghosts, lists, grants. */
#define BOOK_BYTES 128u

static struct blocks_limits limits_of(const struct config *config)
{
    uint64_t seed = 0;
    (void)getrandom(&seed, sizeof seed, GRND_NONBLOCK);
    struct blocks_limits limits = {
        .pool_bytes = config->pool_bytes,
        .extent_bytes = config->extent_bytes,
        .slot_bytes_min = config->slot_min_bytes,
        .policy = config->policy == CONFIG_POLICY_LRU ? POLICY_LRU : POLICY_ARC,
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
    int status = device_host.open(&wish, &server->pool, why, why_bytes);
    if (status == STATUS_OK) {
        log_line(
            server->log, strstr(why, "remedy") != NULL ? LOG_WARN : LOG_INFO, "device", "%s", why);
    }
    return status;
}

static int open_index(struct server *server, char *why, size_t why_bytes)
{
    const struct config *config = &server->config;
    uint32_t slots = blocks_slots(config->pool_bytes, config->extent_bytes, config->slot_min_bytes);
    if (slots == 0) {
        (void)snprintf(why, why_bytes,
            "pool, extent and slot_min do not fit together; leave extent and slot_min on their "
            "defaults");
        return STATUS_INVALID;
    }
    uint64_t bytes = layout_index_bytes(slots);
    uint64_t free = server->host.memory_bytes;
    uint64_t pool = server->pool.segment.huge ? 0 : config->pool_bytes;
    uint64_t books = (uint64_t)slots * BOOK_BYTES;
    if (free != HOST_UNKNOWN && pool + bytes + books > free) {
        (void)snprintf(why, why_bytes,
            "beside the pool, an index of %llu MiB and %llu MiB of books for %u slots do not fit "
            "into memory; raise slot_min, or make the pool smaller",
            (unsigned long long)(bytes >> 20), (unsigned long long)(books >> 20), slots);
        return STATUS_NO_MEMORY;
    }
    int status = segment_make("cistern-index", bytes, false, &server->index);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes,
            "no memory for an index of %llu MiB (%u slots): %s; raise slot_min or make the pool "
            "smaller",
            (unsigned long long)(bytes >> 20), slots, strerror(errno));
        return status;
    }
    /* Two servers never share an epoch: a client would take the one for the other. */
    uint64_t epoch = (uint64_t)moment_wall_ns() | 1;
    layout_index_init(server->index.base, slots, config->pool_bytes, epoch);
    server->header = server->index.base;
    struct blocks_limits limits = limits_of(config);
    status = blocks_open(&server->blocks, &limits, server->index.base, bytes);
    if (status != STATUS_OK) {
        (void)snprintf(
            why, why_bytes, "no memory to keep the books of %u slots; raise slot_min", slots);
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

static void describe(void *context, char *out_text, size_t text_bytes)
{
    const struct server *server = context;
    char pool[128];
    device_host.describe(&server->pool, pool, sizeof pool);
    (void)snprintf(out_text, text_bytes,
        "pid %d\nuptime_s %llu\npool_bytes %llu\nextent_bytes %llu\nslot_min_bytes %llu\nslots %u\n"
        "policy %s\nloop %s\npoll_us %llu\npool %s\n",
        (int)getpid(), (unsigned long long)((moment_ns() - server->started_ns) / 1000000000u),
        (unsigned long long)server->config.pool_bytes,
        (unsigned long long)server->config.extent_bytes,
        (unsigned long long)server->config.slot_min_bytes, server->blocks.index.slots,
        server->config.policy == CONFIG_POLICY_LRU ? "lru" : "arc", loop_name(server->loop),
        (unsigned long long)(server->config.poll_ns / 1000), pool);
}

static int open_door(struct server *server, char *why, size_t why_bytes)
{
    server->index_readonly = segment_open_readonly(&server->index);
    server->pool_readonly = segment_open_readonly(&server->pool.segment);
    if (server->index_readonly < 0 || server->pool_readonly < 0) {
        (void)snprintf(why, why_bytes,
            "cannot open shared memory for reading: %s; /proc must be mounted", strerror(errno));
        return STATUS_IO;
    }
    server->door.table = &server->sessions;
    server->door.describe = describe;
    server->door.context = server;
    server->door.gifts = (struct welcome_gifts){
        .index_readonly = server->index_readonly,
        .pool_readonly = server->pool_readonly,
        .pool_writable = server->pool.segment.fd,
        .index_bytes = server->index.bytes,
        .pool_bytes = server->pool.segment.bytes,
        .epoch = shared64_load_relaxed(&server->header->epoch),
    };
    return door_open(
        &server->door, server->config.socket, server->config.socket_mode, why, why_bytes);
}

int server_open(struct server *out_server, const struct config *config, const struct host *host,
    struct log *log, char *why, size_t why_bytes)
{
    struct server *server = out_server;
    *server = (struct server){
        .config = *config,
        .host = *host,
        .log = log,
        .pool = DEVICE_POOL_NONE,
        .index = SEGMENT_NONE,
        .index_readonly = -1,
        .pool_readonly = -1,
        .started_ns = moment_ns(),
        .door = {.socket = -1, .lock = -1},
    };
    int status = open_pool(server, why, why_bytes);
    if (status == STATUS_OK) {
        status = open_index(server, why, why_bytes);
    }
    if (status == STATUS_OK) {
        status = open_loop(server, why, why_bytes);
    }
    if (status == STATUS_OK) {
        status = session_open_table(&server->sessions, &server->blocks, server->loop, log,
            &server->config, server->pool.segment.base);
        if (status != STATUS_OK) {
            (void)snprintf(
                why, why_bytes, "no memory to keep the books of sessions; raise slot_min");
        }
    }
    if (status == STATUS_OK) {
        server->sessions.now_ns = moment_ns();
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
        server->config.policy == CONFIG_POLICY_LRU ? "lru" : "arc",
        (unsigned long long)(server->config.poll_ns / 1000));
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
    if (server->sessions.places != NULL) {
        session_close_table(&server->sessions);
    }
    loop_close(server->loop);
    server->loop = NULL;
    blocks_close(&server->blocks);
    segment_close(&server->index);
    server->header = NULL;
    if (server->pool.device != NULL) {
        device_host.close(&server->pool);
    }
    for (int i = 0; i < 2; i++) {
        int *fd = i == 0 ? &server->index_readonly : &server->pool_readonly;
        if (*fd >= 0) {
            (void)close(*fd);
            *fd = -1;
        }
    }
}
