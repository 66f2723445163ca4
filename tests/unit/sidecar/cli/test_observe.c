/* observe: a tool believes of a sidecar's answer only what adds up, and leaks no descriptor. */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/cli/observe.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOTS 64u

/* A double of the door: takes one connection, hears one hello, gives one prepared answer. */
struct double_door {
    struct welcome welcome;
    size_t bytes; /* of the answer; 0: hang up */
    int fds[4];
    uint32_t fd_count;
    int listener;
    struct hello heard;
    int status;
};

static char folder[64];
static char path[128];
static struct segment segment = SEGMENT_NONE; /* a good index */

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/cistern-observe-XXXXXX");
    if (mkdtemp(folder) == NULL ||
        segment_make("index", layout_index_bytes(SLOTS, 0), false, &segment) != STATUS_OK) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/s", folder);
    layout_index_init(segment.base, SLOTS, 0, 4096 * SLOTS, 5);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    segment_close(&segment);
    return rmdir(folder);
}

static uint32_t count_fds(void)
{
    uint32_t count = 0;
    DIR *fds = opendir("/proc/self/fd");
    while (readdir(fds) != NULL) {
        count++;
    }
    (void)closedir(fds);
    return count;
}

static void *answer(void *context)
{
    struct double_door *door = context;
    uint32_t fds = 0;
    int client = accept4(door->listener, NULL, NULL, SOCK_CLOEXEC);
    door->status = hello_receive(client, &door->heard, sizeof door->heard, NULL, 0, &fds);
    if (door->bytes > 0) {
        (void)hello_send(client, &door->welcome, door->bytes, door->fds, door->fd_count);
    }
    (void)close(client);
    return NULL;
}

static struct double_door good(void)
{
    struct double_door door = {
        .welcome = {.magic = HELLO_MAGIC,
            .abi = LAYOUT_ABI,
            .fds = 1,
            .index_bytes = segment.bytes,
            .info = "pid 9\n"},
        .bytes = sizeof(struct welcome),
        .fd_count = 1,
    };
    door.fds[0] = segment_open_readonly(&segment);
    assert_true(door.fds[0] >= 0);
    return door;
}

/* Observe the double, with every descriptor accounted for. */
static int observe_it(struct double_door *door, struct observe *out_observe, char *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    door->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(door->listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(door->listener, 4), 0);
    uint32_t fds = count_fds();
    assert_int_equal(pthread_create(&thread, NULL, answer, door), 0);
    why[0] = '\0';
    int status = observe_open(out_observe, path, why, 1024);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(count_fds(), fds); /* the index is mapped, and its descriptor closed */
    assert_int_equal(door->status, STATUS_OK);
    assert_int_equal(door->heard.kind, HELLO_OBSERVE);
    (void)close(door->listener);
    (void)unlink(path);
    for (uint32_t i = 0; i < door->fd_count; i++) {
        (void)close(door->fds[i]);
    }
    return status;
}

static void a_good_answer_is_mapped_and_read(void **state)
{
    (void)state;
    static struct observe observe;
    char why[1024];
    struct double_door door = good();
    door.fds[1] = dup(door.fds[0]); /* one more than a tool asks for */
    door.fd_count = 2;
    memset(door.welcome.info, 'i', HELLO_INFO); /* no end to it */
    assert_int_equal(observe_it(&door, &observe, why), STATUS_OK);
    assert_int_equal(observe.index.slots, SLOTS);
    assert_int_equal(strlen(observe.welcome.info), HELLO_INFO - 1);
    counter_add(((struct index_header *)segment.base)->counter, COUNTER_commits, 3);
    assert_int_equal(counter_get(observe.index.header->counter, COUNTER_commits), 3);
    observe_close(&observe);
    observe_close(&observe);
    observe_close(NULL);
}

static void a_refusal_is_passed_on_with_its_reason(void **state)
{
    (void)state;
    static struct observe observe;
    char why[1024];
    struct double_door door = good();
    door.welcome.status = STATUS_DENIED;
    (void)snprintf(door.welcome.why, HELLO_WHY, "user 5 may not attach");
    assert_int_equal(observe_it(&door, &observe, why), STATUS_DENIED);
    assert_non_null(strstr(why, "user 5 may not attach"));
    door = good();
    (void)close(door.fds[0]);
    door.fd_count = 0;
    door.welcome.status = STATUS_LIMIT;
    memset(door.welcome.why, 'w', HELLO_WHY);
    assert_int_equal(observe_it(&door, &observe, why), STATUS_LIMIT);
}

static void an_answer_that_does_not_add_up_is_refused(void **state)
{
    (void)state;
    static struct observe observe;
    char why[1024];
    for (int i = 0; i < 7; i++) {
        struct double_door door = good();
        int expected = STATUS_MALFORMED;
        if (i == 0) {
            door.welcome.magic++;
        } else if (i == 1) {
            door.welcome.index_bytes += LAYOUT_PAGE_BYTES;
        } else if (i == 2) {
            door.bytes--;
        } else if (i == 3) {
            (void)close(door.fds[0]);
            door.fd_count = 0;
        } else if (i == 4) {
            /* Memory that its maker could cut under us. */
            (void)close(door.fds[0]);
            door.fds[0] = memfd_create("unsealed", MFD_CLOEXEC);
            assert_int_equal(ftruncate(door.fds[0], (off_t)segment.bytes), 0);
        } else if (i == 5) {
            (void)close(door.fds[0]);
            struct segment other = SEGMENT_NONE;
            assert_int_equal(segment_make("zeros", segment.bytes, false, &other), STATUS_OK);
            door.fds[0] = dup(other.fd);
            segment_close(&other);
            expected = STATUS_VERSION;
        } else {
            door.bytes = 0;
            expected = STATUS_NO_SERVER;
        }
        int status = observe_it(&door, &observe, why);
        if (status != expected) {
            fail_msg("answer %d: %s: %s", i, status_name(status), why);
        }
        assert_int_not_equal(why[0], '\0');
        assert_null(observe.segment.base);
    }
}

static void without_a_sidecar_the_path_and_the_remedy_are_named(void **state)
{
    (void)state;
    static struct observe observe;
    char why[1024] = "";
    char longer[300];
    uint32_t fds = count_fds();
    assert_int_equal(observe_open(&observe, path, why, sizeof why), STATUS_NO_SERVER);
    assert_non_null(strstr(why, path));
    assert_non_null(strstr(why, "start cisternd"));
    memset(longer, 'p', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(observe_open(&observe, longer, why, sizeof why), STATUS_NO_SERVER);
    assert_non_null(strstr(why, "too long"));
    assert_int_equal(count_fds(), fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_answer_is_mapped_and_read),
        cmocka_unit_test(a_refusal_is_passed_on_with_its_reason),
        cmocka_unit_test(an_answer_that_does_not_add_up_is_refused),
        cmocka_unit_test(without_a_sidecar_the_path_and_the_remedy_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
