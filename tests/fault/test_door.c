/* test_door: whatever is said at the door, the answer is clear and the sidecar goes on. */
#include "tests/check.h"
#include "tests/fault/intruder.h"
#include "tests/fault/scene.h"

#include <dirent.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* One hello that must be refused. */
struct refusal {
    const char *what;
    size_t offset;
    size_t bytes;
    uint64_t value;
    int status;
    const char *word; /* named in the answer */
};

#define FIELD(field) offsetof(struct hello, field), sizeof(((struct hello *)0)->field)

static const struct refusal refusals[] = {
    {"another magic", FIELD(magic), 0x12345678, STATUS_VERSION, "version"},
    {"another version", FIELD(abi), LAYOUT_ABI + 1, STATUS_VERSION, "version"},
    {"version 0", FIELD(abi), 0, STATUS_VERSION, "version"},
    {"no kind", FIELD(kind), 0, STATUS_MALFORMED, "understood"},
    {"goodbye first", FIELD(kind), HELLO_GOODBYE, STATUS_MALFORMED, "understood"},
    {"unknown kind", FIELD(kind), UINT32_MAX, STATUS_MALFORMED, "understood"},
    {"no seats", FIELD(seats), 0, STATUS_INVALID, "threads"},
    {"too many seats", FIELD(seats), LANE_SEATS_MAX + 1, STATUS_INVALID, "threads"},
    {"wild seats", FIELD(seats), UINT32_MAX, STATUS_INVALID, "threads"},
    {"no pins", FIELD(pins), 0, STATUS_INVALID, "pins"},
    {"wild pins", FIELD(pins), UINT32_MAX, STATUS_INVALID, "pins"},
    {"no grants", FIELD(grants), 0, STATUS_INVALID, "grants"},
    {"no block size", FIELD(space.block_bytes), 0, STATUS_INVALID, "block_bytes"},
    {"wild block size", FIELD(space.block_bytes), UINT64_MAX, STATUS_INVALID, "block_bytes"},
    {"a block larger than an extent", FIELD(space.block_bytes), 64 << 20, STATUS_TOO_LARGE,
        "extent"},
    {"no tokens", FIELD(space.block_tokens), 0, STATUS_INVALID, "block_tokens"},
    {"a rank beyond its size", FIELD(space.tp_rank), 1, STATUS_INVALID, "tp_rank"},
    {"another number of layers", FIELD(space.layers), 33, STATUS_NAMESPACE, "layers"},
    {"another model", offsetof(struct hello, space.model), 8, 0x4242424242424242, STATUS_NAMESPACE,
        "model"},
    {"another secret", offsetof(struct hello, space.secret_check) + 31, 1, 1, STATUS_NAMESPACE,
        "secret"},
    {"a text without an end", offsetof(struct hello, space.rope) + SPACE_TEXT - 1, 1, 'x',
        STATUS_INVALID, "rope"},
};

static int say_wrong_hellos(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    for (size_t i = 0; i < CHECK_COUNT(refusals); i++) {
        const struct refusal *bad = &refusals[i];
        struct hello hello = intruder_hello();
        struct welcome welcome;
        memcpy((char *)&hello + bad->offset, &bad->value, bad->bytes);
        int fd = intruder_connect(scene->daemon.socket);
        child_need(page, fd >= 0, "%s: connect", bad->what);
        child_need(page, hello_send(fd, &hello, sizeof hello, NULL, 0) == STATUS_OK, "send");
        int status = intruder_answer(fd, &welcome);
        child_need(page, status == STATUS_OK, "%s: no answer: %s", bad->what, status_name(status));
        child_need(page, welcome.status == bad->status, "%s: %s: %s", bad->what,
            status_name(welcome.status), welcome.why);
        child_need(page, strstr(welcome.why, bad->word) != NULL, "%s: '%s' is not named: %s",
            bad->what, bad->word, welcome.why);
        /* And then it hangs up. */
        child_need(
            page, intruder_answer(fd, &welcome) == STATUS_NO_SERVER, "%s: still there", bad->what);
        (void)close(fd);
    }
    return 0;
}

static void test_wrong_hellos_are_refused_by_name(void **state)
{
    struct scene *scene = *state;
    uint64_t before = gauge_get(&scene->gauge, COUNTER_sessions_refused);
    assert_int_equal(child_run(say_wrong_hellos, scene), 0);
    assert_int_equal(
        gauge_get(&scene->gauge, COUNTER_sessions_refused) - before, CHECK_COUNT(refusals));
    assert_true(scene_is_unharmed(scene));
}

static int say_wrong_sizes(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    static char message[sizeof(struct hello) * 8];
    struct hello hello = intruder_hello();
    memcpy(message, &hello, sizeof hello);
    const size_t sizes[] = {1, 4, 32, sizeof hello - 1, sizeof hello + 1, sizeof message};
    for (size_t i = 0; i < CHECK_COUNT(sizes); i++) {
        struct welcome welcome;
        int fd = intruder_connect(scene->daemon.socket);
        child_need(page, fd >= 0, "connect");
        child_need(page, hello_send(fd, message, sizes[i], NULL, 0) == STATUS_OK, "send");
        int status = intruder_answer(fd, &welcome);
        child_need(page,
            status == STATUS_NO_SERVER ||
                (status == STATUS_OK && welcome.status == STATUS_MALFORMED),
            "a hello of %zu bytes: %s, %s", sizes[i], status_name(status),
            status_name(welcome.status));
        (void)close(fd);
    }
    /* Nothing at all, then gone; and an empty message. */
    for (int i = 0; i < 100; i++) {
        int fd = intruder_connect(scene->daemon.socket);
        child_need(page, fd >= 0, "connect");
        if (i % 2 == 0) {
            (void)send(fd, "", 0, MSG_NOSIGNAL);
        }
        (void)close(fd);
    }
    return 0;
}

static void test_cut_and_long_hellos_are_refused(void **state)
{
    assert_int_equal(child_run(say_wrong_sizes, *state), 0);
    assert_true(scene_is_unharmed(*state));
}

static int say_random_hellos(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    uint64_t random = check_seed();
    for (int i = 0; i < 300; i++) {
        struct hello hello = intruder_hello();
        uint64_t flips = 1 + check_random(&random) % 8;
        bool all = check_random(&random) % 4 == 0;
        for (size_t at = 0; all && at < sizeof hello; at++) {
            ((unsigned char *)&hello)[at] = (unsigned char)check_random(&random);
        }
        for (uint64_t flip = 0; !all && flip < flips; flip++) {
            uint64_t word = check_random(&random);
            ((unsigned char *)&hello)[word % sizeof hello] ^= (unsigned char)(1u << (word >> 61));
        }
        struct welcome welcome;
        int fd = intruder_connect(scene->daemon.socket);
        child_need(page, fd >= 0, "connect");
        (void)hello_send(fd, &hello, sizeof hello, NULL, 0);
        int status = intruder_answer(fd, &welcome);
        child_need(page, status == STATUS_OK || status == STATUS_NO_SERVER, "round %d: %s", i,
            status_name(status));
        hello = intruder_hello();
        hello.kind = HELLO_GOODBYE; /* if it was let in */
        (void)hello_send(fd, &hello, sizeof hello, NULL, 0);
        (void)close(fd);
    }
    return 0;
}

static void test_random_hellos_do_no_harm(void **state)
{
    assert_int_equal(child_run(say_random_hellos, *state), 0);
    assert_true(scene_is_unharmed(*state));
}

/* Attached, then writes to its socket what nobody asked for: `kind` of it. */
enum junk { JUNK_BYTES, JUNK_HELLO, JUNK_FDS, JUNK_FLOOD, JUNK_KINDS };

static int talk_after_hello(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    for (int kind = 0; kind < JUNK_KINDS; kind++) {
        struct intruder intruder;
        struct hello hello = intruder_hello();
        intruder_attach(page, &intruder, scene->daemon.socket, &hello);
        int fds[8];
        for (int i = 0; i < 8; i++) {
            fds[i] = eventfd(0, EFD_CLOEXEC);
        }
        switch (kind) {
        case JUNK_BYTES:
            (void)hello_send(intruder.socket, "junk", 4, NULL, 0);
            break;
        case JUNK_HELLO:
            (void)hello_send(intruder.socket, &hello, sizeof hello, NULL, 0);
            break;
        case JUNK_FDS:
            (void)hello_send(intruder.socket, &hello, sizeof hello, fds, 8);
            break;
        default:
            for (int i = 0; i < 10000; i++) {
                (void)hello_send(intruder.socket, "flood", 5, NULL, 0);
            }
            break;
        }
        child_need(page, intruder_is_thrown_out(&intruder, CHILD_WAIT_NS / 4),
            "junk %d is let pass", kind);
    }
    return 0;
}

static void test_talk_after_the_hello_ends_the_session(void **state)
{
    assert_int_equal(child_run(talk_after_hello, *state), 0);
    assert_true(scene_is_unharmed(*state));
}

/* Descriptors of the sidecar, as the kernel counts them. */
static int count_fds(const struct daemon *daemon)
{
    char path[64];
    int count = 0;
    /* Without a keeper it is the server; to ask it for its pid would open a descriptor there. */
    (void)snprintf(path, sizeof path, "/proc/%d/fd", daemon->pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static int greet_with_fds(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    for (int round = 0; round < 20; round++) {
        struct hello hello = intruder_hello();
        struct welcome welcome;
        int fds[16];
        for (int i = 0; i < 16; i++) {
            fds[i] = eventfd(0, EFD_CLOEXEC);
        }
        int fd = intruder_connect(scene->daemon.socket);
        child_need(page, fd >= 0, "connect");
        (void)hello_send(fd, &hello, sizeof hello, fds, 16);
        (void)intruder_answer(fd, &welcome);
        hello.kind = HELLO_GOODBYE;
        (void)hello_send(fd, &hello, sizeof hello, fds, 16);
        for (int i = 0; i < 16; i++) {
            (void)close(fds[i]);
        }
        (void)close(fd);
    }
    return 0;
}

static void test_gifts_of_descriptors_are_not_kept(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(child_run(greet_with_fds, scene), 0);
    assert_true(scene_is_unharmed(scene));
    int before = count_fds(&scene->daemon);
    assert_int_equal(child_run(greet_with_fds, scene), 0);
    assert_true(scene_is_unharmed(scene));
    assert_int_equal(count_fds(&scene->daemon), before);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(test_wrong_hellos_are_refused_by_name),
        TEST(test_cut_and_long_hellos_are_refused),
        TEST(test_random_hellos_do_no_harm),
        TEST(test_talk_after_the_hello_ends_the_session),
        TEST(test_gifts_of_descriptors_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
