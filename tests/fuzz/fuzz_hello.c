/* fuzz_hello: messages of any bytes, with descriptors, at the sidecar's real door: no session,
 * slot, promise or namespace stays behind.
 *
 * An input is a row of messages: one byte that says which kind, then its bytes.
 */
#include "tests/fuzz/target.h"
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/session/door.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define EXTENTS 4u
#define CONNECTIONS 4u
#define MESSAGES 24u
#define TURNS 16u

enum message {
    MESSAGE_HELLO,
    MESSAGE_MENDED,
    MESSAGE_RAW,
    MESSAGE_WITH_FDS,
    MESSAGE_HANG_UP,
    MESSAGES_KINDS
};

struct scene {
    struct world world;
    struct door door;
    char folder[64];
    int clients[CONNECTIONS];
};

static size_t put_hello(uint64_t *state, uint8_t *out_data)
{
    static const char *const names[] = {"a", "b", "c"};
    struct hello hello = world_hello(names[check_random(state) % 3]);
    hello.kind = 1 + (uint32_t)(check_random(state) % 3);
    hello.flags = (uint32_t)(check_random(state) % 4);
    hello.seats = 1 + (uint32_t)(check_random(state) % 3);
    hello.pins = 1 + (uint32_t)(check_random(state) % 16);
    hello.grants = 1 + (uint32_t)(check_random(state) % 16);
    hello.space.block_bytes = 1 + check_random(state) % (2 * WORLD_SLOT);
    memcpy(out_data, &hello, sizeof hello);
    return sizeof hello;
}

size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room)
{
    size_t bytes = 0;
    uint64_t left = 1 + check_random(state) % 8;
    while (left-- > 0 && bytes + 2 + sizeof(struct hello) <= room) {
        out_data[bytes++] = (uint8_t)(check_random(state) % MESSAGES_KINDS);
        out_data[bytes++] = (uint8_t)(check_random(state) % CONNECTIONS);
        bytes += put_hello(state, out_data + bytes);
    }
    return bytes;
}

static void describe(void *context, char *out_text, size_t text_bytes)
{
    (void)context;
    (void)snprintf(out_text, text_bytes, "pid 1\n");
}

static void open_scene(struct scene *scene)
{
    char path[CONFIG_PATH_BYTES];
    char why[512];
    memset(scene, 0, sizeof *scene);
    world_open(&scene->world, EXTENTS);
    (void)snprintf(scene->folder, sizeof scene->folder, "/tmp/cistern-fuzz-XXXXXX");
    target_must(mkdtemp(scene->folder) != NULL, "a folder");
    (void)snprintf(path, sizeof path, "%s/s", scene->folder);
    scene->door = (struct door){.socket = -1,
        .lock = -1,
        .table = &scene->world.table,
        .gifts = scene->world.gifts,
        .describe = describe};
    target_must(door_open(&scene->door, path, 0600, why, sizeof why) == STATUS_OK, "a door");
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        scene->clients[i] = -1;
    }
}

static void close_scene(struct scene *scene)
{
    char lock[CONFIG_PATH_BYTES + 8];
    (void)snprintf(lock, sizeof lock, "%s/s.lock", scene->folder);
    door_close(&scene->door);
    world_close(&scene->world);
    (void)unlink(lock);
    (void)rmdir(scene->folder);
}

static void settle(struct scene *scene)
{
    for (uint32_t i = 0; i < TURNS && loop_turn(scene->world.loop, 0) > 0; i++) {
        scene->world.table.now_ns += WORLD_MS;
    }
}

static int knock(struct scene *scene)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", scene->folder);
    int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    target_must(client >= 0, "a socket");
    target_must(
        connect(client, (const struct sockaddr *)&address, sizeof address) == 0, "a connection");
    return client;
}

/* The answer, whole, with nothing in it that would be read past; its descriptors are closed. */
static void hear(int client)
{
    struct welcome welcome;
    int fds[HELLO_FD_MAX];
    uint32_t count = 0;
    if (hello_receive(client, &welcome, sizeof welcome, fds, HELLO_FD_MAX, &count) != STATUS_OK) {
        return;
    }
    target_must(welcome.magic == HELLO_MAGIC && welcome.fds == count, "a welcome");
    target_must(memchr(welcome.why, '\0', HELLO_WHY) != NULL, "the reason ends");
    target_must(memchr(welcome.info, '\0', HELLO_INFO) != NULL, "the lines end");
    target_must(welcome.status == STATUS_OK || welcome.why[0] != '\0', "a refusal says why");
    target_must((welcome.status == STATUS_OK) == (count > 0), "who is refused gets nothing");
    for (uint32_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
}

static void say(struct scene *scene, int client, enum message kind, struct target_input *input)
{
    uint8_t bytes[sizeof(struct hello) + 256];
    size_t length = sizeof(struct hello);
    int fds[3] = {scene->world.gifts.pool_readonly, scene->world.log_fd, client};
    if (kind == MESSAGE_RAW) {
        length = 1 + target_take32(input) % sizeof bytes;
    }
    target_take(input, bytes, length);
    if (kind == MESSAGE_MENDED) {
        struct hello hello;
        memcpy(&hello, bytes, sizeof hello);
        hello.magic = HELLO_MAGIC;
        hello.abi = LAYOUT_ABI;
        memcpy(bytes, &hello, sizeof hello);
    }
    (void)hello_send(client, bytes, length, fds, kind == MESSAGE_WITH_FDS ? 3 : 0);
}

static void play(struct scene *scene, struct target_input *input)
{
    for (uint32_t i = 0; i < MESSAGES && input->left > 0; i++) {
        enum message kind = (enum message)(target_take8(input) % MESSAGES_KINDS);
        int *client = &scene->clients[target_take8(input) % CONNECTIONS];
        if (*client < 0) {
            *client = knock(scene);
        }
        if (kind == MESSAGE_HANG_UP) {
            (void)close(*client);
            *client = -1;
        } else {
            say(scene, *client, kind, input);
        }
        settle(scene);
        if (*client >= 0) {
            hear(*client);
        }
        world_check(&scene->world);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct scene scene;
    struct target_input input = {.at = data, .left = bytes};
    open_scene(&scene);
    struct session_table *table = &scene.world.table;
    play(&scene, &input);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        if (scene.clients[i] >= 0) {
            (void)close(scene.clients[i]);
        }
    }
    settle(&scene);
    /* Whoever attached and hung up is only revoked, because his process, ours, lives. */
    while (table->active_count > 0) {
        struct session *session = table->places[table->active[0]];
        target_must(session->state == SESSION_REVOKED, "a hang-up ends a session's service");
        session_end(session, false);
    }
    world_check(&scene.world);
    target_must(table->attached == 0 && table->greetings == 0, "all have left");
    target_must(table->promised_bytes == 0, "all promises are taken back");
    for (uint32_t i = 0; i < table->registry.count; i++) {
        target_must(table->registry.entries[i].sessions == 0, "nobody uses a namespace");
    }
    close_scene(&scene);
    return 0;
}
