/* nvme_world: see nvme_world.h. */
#include "tests/unit/sidecar/tier/nvme_world.h"

#include "shm/status.h"
#include "sidecar/moment.h"
#include "sidecar/tier/nvme.h"

#include <poll.h>
#include <sys/mman.h>

void nvme_world_open(struct nvme_world *out_world)
{
    struct nvme_world *world = out_world;
    memset(world, 0, sizeof *world);
    folder_open(&world->folder);
    world->log_file = memfd_create("log", MFD_CLOEXEC);
    assert_true(world->log_file >= 0);
    log_init(&world->log, world->log_file, LOG_DEBUG);
    world->memory = mmap(NULL, (size_t)WORLD_BUFFERS * WORLD_BLOCK, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(world->memory != MAP_FAILED);
    world->options = (struct tier_nvme_options){
        .directories = {world->folder.path},
        .directory_count = 1,
        .bytes = WORLD_BYTES,
        .region_bytes = 16 * WORLD_MIB,
        .block_bytes_most = WORLD_BLOCK,
        .pool = world->memory,
        .pool_bytes = (uint64_t)WORLD_BUFFERS * WORLD_BLOCK,
        .log = &world->log,
    };
}

void nvme_world_close(struct nvme_world *world)
{
    nvme_world_stop(world);
    (void)munmap(world->memory, (size_t)WORLD_BUFFERS * WORLD_BLOCK);
    (void)close(world->log_file);
    folder_close(&world->folder);
}

int nvme_world_start(struct nvme_world *world, const struct disk_ops *engine)
{
    assert_null(world->tier);
    world->found = 0;
    world->lost = 0;
    world->parts = 0;
    world->done = 0;
    world->good = 0;
    return engine == NULL
               ? tier_nvme_open(&world->options, &world->tier, world->why, sizeof world->why)
               : tier_nvme_open_on(
                     &world->options, engine, &world->tier, world->why, sizeof world->why);
}

void nvme_world_stop(struct nvme_world *world)
{
    if (world->tier != NULL) {
        tier_close(world->tier, WORLD_WAIT_NS);
        world->tier = NULL;
    }
}

uint8_t *nvme_world_buffer(const struct nvme_world *world, uint32_t buffer)
{
    assert_true(buffer < WORLD_BUFFERS);
    return world->memory + (size_t)buffer * WORLD_BLOCK;
}

struct tier_id nvme_world_id(uint64_t number)
{
    struct tier_id id;
    uint64_t state = number;
    memset(&id, 0, sizeof id);
    for (uint32_t i = 0; i < 4; i++) {
        id.key.word[i] = check_random(&state);
    }
    id.space[0] = 7;
    return id;
}

void nvme_world_fill(uint64_t number, void *out_data, uint64_t bytes)
{
    uint8_t *at = out_data;
    uint64_t state = ~number;
    for (uint64_t i = 0; i < bytes; i += 8) {
        uint64_t word = check_random(&state);
        memcpy(at + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}

bool nvme_world_is(uint64_t number, const void *data, uint64_t bytes)
{
    const uint8_t *at = data;
    uint64_t state = ~number;
    for (uint64_t i = 0; i < bytes; i += 8) {
        uint64_t word = check_random(&state);
        if (memcmp(at + i, &word, bytes - i < 8 ? bytes - i : 8) != 0) {
            return false;
        }
    }
    return true;
}

int nvme_world_store(struct nvme_world *world, uint64_t number, uint64_t bytes, uint32_t buffer)
{
    struct tier_block block = {
        .id = nvme_world_id(number), .data = nvme_world_buffer(world, buffer), .bytes = bytes};
    nvme_world_fill(number, nvme_world_buffer(world, buffer), bytes);
    return tier_store(world->tier, &block, number);
}

int nvme_world_load(struct nvme_world *world, uint64_t number, uint32_t buffer)
{
    struct tier_wish wish = {.id = nvme_world_id(number),
        .out_data = nvme_world_buffer(world, buffer),
        .room = WORLD_BLOCK,
        .deadline_ns = UINT64_MAX};
    return tier_load(world->tier, &wish, number);
}

static void see(struct nvme_world *world, const struct tier_done *done)
{
    switch (done->event) {
    case TIER_FOUND:
        world->found++;
        break;
    case TIER_LOST:
        world->lost++;
        break;
    case TIER_PART:
        world->parts++;
        break;
    case TIER_STORED:
    case TIER_LOADED:
        world->last = *done;
        world->done++;
        world->good += done->status == STATUS_OK;
        break;
    }
    if (world->see != NULL) {
        world->see(world->context, done);
    }
}

static uint32_t take(struct nvme_world *world)
{
    struct tier_done done[16];
    uint32_t count = tier_poll(world->tier, moment_ns(), done, CHECK_COUNT(done));
    for (uint32_t i = 0; i < count; i++) {
        see(world, &done[i]);
    }
    return count;
}

static void wait_for(struct nvme_world *world, const uint32_t *number, uint32_t least)
{
    uint64_t until_ns = moment_ns() + WORLD_WAIT_NS;
    while (*number < least) {
        assert_true(moment_ns() < until_ns);
        if (take(world) == 0 && *number < least) {
            struct pollfd watch = {.fd = tier_fd(world->tier), .events = POLLIN};
            (void)poll(&watch, 1, 1000);
        }
    }
}

void nvme_world_wait(struct nvme_world *world, uint32_t done)
{
    wait_for(world, &world->done, done);
}

void nvme_world_wait_found(struct nvme_world *world, uint32_t blocks)
{
    wait_for(world, &world->found, blocks);
    const struct nvme *nvme = (const struct nvme *)world->tier;
    for (uint32_t i = 0; i < nvme->dirs; i++) {
        wait_for(world, &nvme->dir[i].pages_over, NVME_PAGES);
    }
}

void nvme_world_wait_lost(struct nvme_world *world, uint32_t blocks)
{
    wait_for(world, &world->lost, blocks);
}

int nvme_world_put(struct nvme_world *world, uint64_t number, uint64_t bytes)
{
    int status = nvme_world_store(world, number, bytes, 0);
    if (status != STATUS_PENDING) {
        return status;
    }
    nvme_world_wait(world, world->done + 1);
    assert_int_equal(world->last.event, TIER_STORED);
    assert_int_equal(world->last.cookie, number);
    return world->last.status;
}

int nvme_world_get(struct nvme_world *world, uint64_t number, uint64_t bytes)
{
    memset(nvme_world_buffer(world, 1), 0xee, WORLD_BLOCK);
    int status = nvme_world_load(world, number, 1);
    if (status != STATUS_PENDING) {
        return status;
    }
    nvme_world_wait(world, world->done + 1);
    assert_int_equal(world->last.event, TIER_LOADED);
    assert_int_equal(world->last.cookie, number);
    if (world->last.status == STATUS_OK) {
        assert_int_equal(world->last.bytes, bytes);
        assert_true(nvme_world_is(number, nvme_world_buffer(world, 1), bytes));
    }
    return world->last.status;
}

struct tier_health nvme_world_health(const struct nvme_world *world)
{
    struct tier_health health;
    world->tier->ops->health(world->tier, &health);
    return health;
}

bool nvme_world_said(const struct nvme_world *world, const char *text)
{
    static char log[1 << 20];
    ssize_t got = pread(world->log_file, log, sizeof log - 1, 0);
    assert_true(got >= 0);
    log[got] = '\0';
    return strstr(log, text) != NULL;
}

int nvme_world_file(const struct nvme_world *world)
{
    char path[256];
    folder_file(&world->folder, "cistern.tier", path);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    return file;
}
