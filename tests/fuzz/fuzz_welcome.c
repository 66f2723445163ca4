/* fuzz_welcome: a hostile sidecar's welcome, of any bytes and with any descriptors, at the client's
 * side: refused with a status, or mapped whole; nothing stays open.
 *
 * An input is a byte for each descriptor that says what is sent in its place, how many are sent,
 * and the welcome. There is no driver: a device's part is judged by its numbers, and not mapped.
 */
#include "tests/fuzz/target.h"

#include "libclient/attach.h"
#include "libclient/greet.h"
#include "shm/layout.h"
#include "shm/segment.h"
#include "shm/status.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOTS 16u
#define POOL_BYTES UINT64_C(65536)
#define SEATS 2u
#define PINS 8u
#define GRANTS 4u

/* What is sent in a descriptor's place. */
enum fake { FAKE_NOT, FAKE_UNSEALED, FAKE_DEVICE, FAKE_EVENT, FAKE_SHORT, FAKE_KINDS };

/* Made once: a sidecar's segments, and what may stand in for one. */
struct props {
    bool made;
    int listener;
    char path[64];
    struct segment segments[HELLO_FD_MAX];
    int right[HELLO_FD_MAX];
    int fakes[FAKE_KINDS];
};

static void make_segment(struct props *into, enum hello_fd which, uint64_t bytes)
{
    struct segment *segment = &into->segments[which];
    target_must(segment_make("fuzz", bytes, false, segment) == STATUS_OK, "a segment");
    into->right[which] = segment->fd;
}

static void listen_at(struct props *into)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/cistern-fuzz-XXXXXX";
    target_must(mkdtemp(folder) != NULL, "a folder");
    (void)snprintf(into->path, sizeof into->path, "%s/s", folder);
    memcpy(address.sun_path, into->path, strlen(into->path) + 1);
    into->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    target_must(into->listener >= 0 &&
                    bind(into->listener, (const struct sockaddr *)&address, sizeof address) == 0 &&
                    listen(into->listener, 4) == 0,
        "a socket");
}

static struct props props;

static void remove_socket(void)
{
    (void)unlink(props.path);
    *strrchr(props.path, '/') = '\0';
    (void)rmdir(props.path);
}

static struct props *props_of(void)
{
    struct lane_shape shape = {.seats = SEATS, .pins = PINS};
    if (props.made) {
        return &props;
    }
    uint64_t index_bytes = layout_index_bytes(SLOTS, 0);
    make_segment(&props, HELLO_FD_INDEX, index_bytes);
    layout_index_init(props.segments[HELLO_FD_INDEX].base, SLOTS, 0, POOL_BYTES, 3);
    make_segment(&props, HELLO_FD_LANE_CLIENT, lane_client_bytes(&shape));
    make_segment(&props, HELLO_FD_LANE_SERVER, lane_server_bytes(&shape));
    make_segment(&props, HELLO_FD_POOL, POOL_BYTES);
    make_segment(&props, HELLO_FD_STAGING, POOL_BYTES);
    props.right[HELLO_FD_BELL] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    props.fakes[FAKE_UNSEALED] = memfd_create("unsealed", MFD_CLOEXEC);
    props.fakes[FAKE_DEVICE] = open("/dev/null", O_RDWR | O_CLOEXEC);
    props.fakes[FAKE_EVENT] = props.right[HELLO_FD_BELL];
    props.fakes[FAKE_SHORT] = props.right[HELLO_FD_POOL];
    target_must(ftruncate(props.fakes[FAKE_UNSEALED], (off_t)POOL_BYTES) == 0, "a file");
    listen_at(&props);
    (void)atexit(remove_socket);
    props.made = true;
    return &props;
}

static struct hello ask(void)
{
    struct hello hello = {
        .magic = HELLO_MAGIC,
        .abi = LAYOUT_ABI,
        .kind = HELLO_ATTACH,
        .seats = SEATS,
        .pins = PINS,
        .grants = GRANTS,
        .flags = HELLO_DEVICE,
    };
    return hello;
}

static struct welcome right_welcome(bool isolated)
{
    const struct props *made = props_of();
    struct welcome welcome = {
        .magic = HELLO_MAGIC,
        .abi = LAYOUT_ABI,
        .flags = isolated ? WELCOME_ISOLATED : 0,
        .session = 1,
        .space = 1,
        .seats = SEATS,
        .pins = PINS,
        .grants = GRANTS,
        .fds = isolated ? HELLO_FD_MAX : HELLO_FD_STAGING,
        .index_bytes = made->segments[HELLO_FD_INDEX].bytes,
        .lane_client_bytes = made->segments[HELLO_FD_LANE_CLIENT].bytes,
        .lane_server_bytes = made->segments[HELLO_FD_LANE_SERVER].bytes,
        .pool_bytes = POOL_BYTES,
        .staging_bytes = isolated ? POOL_BYTES : 0,
        .epoch = 3,
        .host_slots = SLOTS,
    };
    return welcome;
}

/* A device's part that is right, with cuIpc handles: so no descriptors follow. */
static void add_device(struct welcome *welcome)
{
    welcome->host_slots = SLOTS / 2;
    welcome->device_first = SLOTS / 2;
    welcome->device_slots = SLOTS / 4;
    welcome->device_slabs = 2;
    welcome->device_kind = HELLO_SLABS_IPC;
    welcome->device_grants = GRANTS;
    welcome->device_slab_bytes = UINT64_C(1) << 21;
    welcome->device_bytes = UINT64_C(1) << 22;
    welcome->device_pool = 7;
}

size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room)
{
    bool isolated = check_random(state) % 2 == 0;
    struct welcome welcome = right_welcome(isolated);
    if (!isolated && check_random(state) % 2 == 0) {
        add_device(&welcome);
    }
    target_must(room >= HELLO_FD_MAX + 1 + sizeof welcome, "room for a seed");
    memset(out_data, 0, HELLO_FD_MAX);
    if (check_random(state) % 3 == 0) {
        out_data[check_random(state) % HELLO_FD_MAX] = (uint8_t)check_random(state);
    }
    out_data[HELLO_FD_MAX] = (uint8_t)welcome.fds;
    memcpy(out_data + HELLO_FD_MAX + 1, &welcome, sizeof welcome);
    return HELLO_FD_MAX + 1 + sizeof welcome;
}

static void answer(const struct props *from, int server, struct target_input *input)
{
    int fds[HELLO_FD_MAX];
    struct welcome welcome;
    for (uint32_t i = 0; i < HELLO_FD_MAX; i++) {
        uint8_t fake = target_take8(input) % FAKE_KINDS;
        fds[i] = fake == FAKE_NOT ? from->right[i] : from->fakes[fake];
    }
    uint32_t count = target_take8(input) % (HELLO_FD_MAX + 1u);
    target_take(input, &welcome, sizeof welcome);
    int status = hello_send(server, &welcome, sizeof welcome, fds, count);
    target_must(status == STATUS_OK, "the welcome is sent");
}

static void use(struct attach *attach)
{
    target_must(attach->shape.seats >= 1 && attach->shape.seats <= SEATS, "seats as asked");
    target_must(attach->shape.pins >= 1 && attach->shape.pins <= PINS, "pins as asked");
    target_must(attach->index.slots == SLOTS, "the index");
    target_must(attach->grant_bytes > 0 && attach->pool_bytes > 0, "memory");
    /* The last byte of everything is there. */
    for (uint32_t i = 0; i < HELLO_FD_MAX; i++) {
        const struct segment *segment = &attach->segments[i];
        if (segment->base != NULL) {
            (void)shared32_load_relaxed(
                (const _Atomic uint32_t *)segment->base + (segment->bytes / sizeof(uint32_t) - 1));
        }
    }
    target_must(attach->slabs == NULL && attach->device_end == 0, "no device without a driver");
    target_must(attach->device_why[0] != '\0' && attach->device_status < 0, "and a reason");
    target_must(attach_is_idle(attach), "a fresh attachment is idle");
}

static uint32_t count_fds(void)
{
    int probe = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0); /* the lowest that is free */
    target_must(probe >= 0, "a descriptor");
    (void)close(probe);
    return (uint32_t)probe;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct props *made = props_of();
    struct target_input input = {.at = data, .left = bytes};
    struct hello hello = ask();
    struct hello heard;
    struct greet greet = GREET_NONE;
    struct greet_gift gift;
    const struct attach_known none_known = {.mapping = NULL};
    struct attach *attach = NULL;
    uint32_t none = 0;
    uint32_t free_before = count_fds();
    int status = greet_step(&greet, made->path, &hello, 0, &gift);
    target_must(status == STATUS_BUSY, "nothing was answered yet");
    int server = accept4(made->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    target_must(server >= 0, "the client knocked");
    status = hello_receive(server, &heard, sizeof heard, NULL, 0, &none);
    target_must(status == STATUS_OK && memcmp(&heard, &hello, sizeof hello) == 0, "a hello");
    answer(made, server, &input);
    status = greet_step(&greet, made->path, &hello, 0, &gift);
    target_must(status <= 0, "an answer is understood or refused");
    /* A refusal that says "busy" is no answer yet, but its handshake is over. */
    target_must(greet.socket < 0, "the handshake is over");
    if (status == STATUS_OK) {
        status = attach_open(&hello, &gift, 1, &none_known, &attach);
        target_must((status == STATUS_OK) == (attach != NULL), "an attachment, or a refusal");
    }
    if (attach != NULL) {
        use(attach);
        attach_close(&attach, false);
    }
    greet_close(&greet);
    (void)close(server);
    target_must(count_fds() == free_before, "no descriptor stays open");
    return 0;
}
