/* recover: what a server held is taken over by the next one, or given up as a whole. */
#include "tests/check.h"

#include "shm/hello.h"
#include "shm/status.h"
#include "sidecar/block/admit.h"
#include "sidecar/block/pool_class.h"
#include "sidecar/server.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define POOL UINT64_C(4194304)
#define EXTENT UINT64_C(1048576)
#define SLOT UINT64_C(65536)
#define BLOCKS 20u

static struct log quiet;
static struct host host;
static char folder[64];

static int set_up(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_init(&quiet, fd, LOG_DEBUG);
    host_read("", &host);
    (void)snprintf(folder, sizeof folder, "/tmp/cistern-recover-XXXXXX");
    return fd >= 0 && mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/s.lock", folder);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/s", folder);
    (void)unlink(path);
    (void)close(quiet.fd);
    return rmdir(folder);
}

static struct config make_config(void)
{
    struct config config;
    char why[SERVER_WHY];
    char *const nothing[] = {"cisternd", NULL};
    assert_int_equal(config_load(&config, 1, nothing, nothing + 1, why, sizeof why), STATUS_OK);
    config.pool_bytes = POOL;
    config.extent_bytes = EXTENT;
    config.slot_min_bytes = SLOT;
    config.poll_ns = 0;
    config.io = CONFIG_IO_EPOLL;
    (void)snprintf(config.socket, sizeof config.socket, "%s/s", folder);
    return config;
}

static struct key key_of(uint64_t number)
{
    struct key key;
    for (int i = 0; i < 4; i++) {
        key.word[i] = check_random(&number);
    }
    return key;
}

/* A namespace and some blocks of it, as a worker's commits make them. Returns the number. */
static uint16_t commit_blocks(struct server *server)
{
    struct registry_entry *entry;
    char why[HELLO_WHY];
    struct space space = {
        .name = "n", .block_bytes = SLOT, .block_tokens = 16, .tp_size = 1, .pp_size = 1};
    uint32_t class = 0;
    uint64_t slot_bytes = SLOT;
    assert_int_equal(registry_take(&server->sessions.registry, &space, 0,
                         server->blocks.space_blocks, &entry, why, sizeof why),
        STATUS_OK);
    assert_int_equal(
        pool_class_take(&server->blocks.pool, SLOT, SLOT_TIER_HOST, &class), STATUS_OK);
    assert_int_equal(
        keep_hold(server->keep, KEEP_CLASS, class, &slot_bytes, sizeof slot_bytes, NULL, 0),
        STATUS_OK);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        uint32_t slot;
        uint64_t generation;
        bool duplicate;
        struct slot_content content = {
            .key = key_of(i), .bytes = 100, .space = (uint16_t)entry->number};
        assert_int_equal(
            pool_take(&server->blocks, class, SLOT_RESERVED, &slot, &generation), STATUS_OK);
        memset((char *)server->memory.pool.segment.base + pool_offset(&server->blocks.pool, slot),
            (int)i, 100);
        assert_int_equal(
            admit_block(&server->blocks, slot, generation, &content, NULL, &duplicate), STATUS_OK);
    }
    return (uint16_t)entry->number;
}

/* What the keeper does, in this process: reads all that a server sent. */
static struct keep inherit(int socket, struct keep *from)
{
    struct keep next = {.socket = from->socket};
    struct keep_message message;
    int fds[KEEP_TABLE_FDS];
    uint32_t count = 0;
    while (
        hello_receive(socket, &message, sizeof message, fds, KEEP_TABLE_FDS, &count) == STATUS_OK) {
        struct keep_item item = {.kind = message.kind,
            .id = message.id,
            .bytes = message.bytes,
            .fd_count = count,
            .blob = message.blob};
        memcpy(item.fds, fds, sizeof item.fds);
        if (message.verb == KEEP_HOLD) {
            assert_int_equal(keep_table_put(&next.held, &item), STATUS_OK);
        } else if (message.verb == KEEP_DROP) {
            keep_table_drop(&next.held, message.kind, message.id);
        }
    }
    return next;
}

/* A server that made memory and blocks; then it is gone, as after a kill: in this process its parts
 * are merely forgotten, but for its descriptors, which the kernel would close. */
static struct keep leave_memory(int *out_keeper, uint16_t *out_space)
{
    static struct server dead;
    char why[SERVER_WHY];
    int ends[2];
    struct config config = make_config();
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    struct keep keep = {.socket = ends[1]};
    assert_int_equal(server_open(&dead, &config, &host, &quiet, &keep, why, sizeof why), STATUS_OK);
    *out_space = commit_blocks(&dead);
    struct keep next = inherit(ends[0], &keep);
    dead.header = NULL; /* no farewell */
    dead.keep = NULL;
    dead.sessions.keep = NULL;
    server_close(&dead);
    *out_keeper = ends[0];
    return next;
}

static uint32_t count_found(struct server *server, uint16_t space)
{
    uint32_t found = 0;
    for (uint64_t i = 0; i < BLOCKS; i++) {
        struct key key = key_of(i);
        uint32_t slot = admit_find(&server->blocks, &key, space);
        if (slot != HINT_NONE) {
            const unsigned char *data = (const unsigned char *)server->memory.pool.segment.base +
                                        pool_offset(&server->blocks.pool, slot);
            assert_int_equal(data[0], i);
            assert_int_equal(data[99], i);
            found++;
        }
    }
    return found;
}

static void test_the_next_server_has_the_blocks_and_a_higher_epoch(void **state)
{
    (void)state;
    static struct server server;
    char why[SERVER_WHY];
    int keeper;
    uint16_t space;
    struct config config = make_config();
    struct keep keep = leave_memory(&keeper, &space);
    assert_int_equal(
        server_open(&server, &config, &host, &quiet, &keep, why, sizeof why), STATUS_OK);
    assert_int_equal(count_found(&server, space), BLOCKS);
    assert_int_equal(server.sessions.registry.count, 1);
    assert_int_equal(counter_get(server.blocks.counters, COUNTER_restarts), 1);
    assert_int_equal(counter_get(server.blocks.counters, COUNTER_commits), BLOCKS);
    assert_int_equal(counter_get(server.blocks.counters, COUNTER_slots_hot), BLOCKS);
    /* It is odd at a start (server.c), and one more after each takeover. */
    assert_int_equal(shared64_load_relaxed(&server.header->epoch) % 2, 0);
    assert_int_equal(server.door.gifts.epoch, shared64_load_relaxed(&server.header->epoch));
    server_close(&server);
    keep_close(&keep);
    (void)close(keeper);
}

static void test_memory_of_another_size_is_given_up(void **state)
{
    (void)state;
    static struct server server;
    char why[SERVER_WHY];
    int keeper;
    uint16_t space;
    struct config config = make_config();
    struct keep keep = leave_memory(&keeper, &space);
    struct recover_sizes sizes;
    struct segment old = SEGMENT_NONE;
    struct keep_item *item = keep_table_find(&keep.held, KEEP_MEMORY, 0);
    memcpy(&sizes, item->blob, sizeof sizes);
    assert_int_equal(
        segment_adopt(fcntl(item->fds[1], F_DUPFD_CLOEXEC, 0), sizes.index_bytes, false, &old),
        STATUS_OK);
    uint64_t epoch = shared64_load_relaxed(&((struct index_header *)old.base)->epoch);
    config.pool_bytes = 2 * POOL;
    assert_int_equal(
        server_open(&server, &config, &host, &quiet, &keep, why, sizeof why), STATUS_OK);
    assert_int_equal(count_found(&server, space), 0);
    assert_int_equal(counter_get(server.blocks.counters, COUNTER_restarts), 0);
    /* Clients that still have it mapped are told; the keeper keeps nothing of it. */
    assert_int_equal(shared64_load_relaxed(&((struct index_header *)old.base)->epoch), epoch + 1);
    assert_null(keep_table_find(&keep.held, KEEP_MEMORY, 0));
    assert_null(keep_table_find(&keep.held, KEEP_SPACE, space));
    struct keep next = inherit(keeper, &keep);
    assert_non_null(keep_table_find(&next.held, KEEP_MEMORY, 0)); /* its own */
    assert_null(keep_table_find(&next.held, KEEP_SPACE, space));
    segment_close(&old);
    server_close(&server);
    keep_close(&next);
    keep_table_close(&keep.held);
    (void)close(keeper);
}

/* What can be wrong with what is held. */
enum wrong {
    CUT_BLOB,
    NO_FD,
    SWAPPED,
    NO_CLASS,
    BAD_CLASS,
    BAD_SPACE,
    TWICE,
    BAD_SESSION,
    COLD,
    WRONGS
};

static void spoil(struct keep *keep, enum wrong how, uint16_t space)
{
    struct keep_item *memory = keep_table_find(&keep->held, KEEP_MEMORY, 0);
    struct keep_item *name = keep_table_find(&keep->held, KEEP_SPACE, space);
    unsigned char junk[4] = {1, 2, 3, 4};
    struct keep_item bad = {.kind = KEEP_SESSION, .id = 7, .bytes = sizeof junk, .blob = junk};
    int fd = memory->fds[0];
    switch (how) {
    case CUT_BLOB:
        memory->bytes--;
        break;
    case NO_FD:
        memory->fd_count = 2;
        break;
    case SWAPPED:
        memory->fds[0] = memory->fds[1];
        memory->fds[1] = fd;
        break;
    case NO_CLASS:
        keep_table_drop(&keep->held, KEEP_CLASS, 0);
        break;
    case BAD_CLASS:
        keep_table_find(&keep->held, KEEP_CLASS, 0)->blob[0] ^= 1;
        break;
    case BAD_SPACE:
        name->blob[0] = 0;
        break;
    case TWICE:
        bad.kind = KEEP_SPACE;
        bad.id = space + 1u;
        bad.bytes = name->bytes;
        bad.blob = name->blob;
        assert_int_equal(keep_table_put(&keep->held, &bad), STATUS_OK);
        break;
    case BAD_SESSION:
        assert_int_equal(keep_table_put(&keep->held, &bad), STATUS_OK);
        break;
    case COLD:
        keep->cold = true;
        break;
    case WRONGS:
        break;
    }
}

static void test_whatever_is_wrong_the_server_starts_empty(void **state)
{
    (void)state;
    for (int how = 0; how < WRONGS; how++) {
        static struct server server;
        char why[SERVER_WHY];
        int keeper;
        uint16_t space;
        struct config config = make_config();
        struct keep keep = leave_memory(&keeper, &space);
        spoil(&keep, (enum wrong)how, space);
        assert_int_equal(
            server_open(&server, &config, &host, &quiet, &keep, why, sizeof why), STATUS_OK);
        assert_int_equal(count_found(&server, space), 0);
        assert_int_equal(counter_get(server.blocks.counters, COUNTER_slots_hot), 0);
        assert_int_equal(commit_blocks(&server), 1);
        server_close(&server);
        keep_close(&keep);
        (void)close(keeper);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_the_next_server_has_the_blocks_and_a_higher_epoch),
        TEST(test_memory_of_another_size_is_given_up),
        TEST(test_whatever_is_wrong_the_server_starts_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
