/* test_hello: one message and its descriptors arrive whole, or not at all; nothing leaks. */
#include "shm/hello.h"

#include "shm/status.h"
#include "tests/check.h"

#include <dirent.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct pair {
    int near;
    int far;
};

static int open_pair(void **state)
{
    static struct pair pair;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    /* A wait that should not be is a failure, not a hang. */
    struct timeval limit = {.tv_sec = 5};
    (void)setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    pair = (struct pair){.near = ends[0], .far = ends[1]};
    *state = &pair;
    return 0;
}

static int close_pair(void **state)
{
    struct pair *pair = *state;
    if (pair->near >= 0) {
        (void)close(pair->near);
    }
    (void)close(pair->far);
    return 0;
}

static int count_fds(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    (void)closedir(directory);
    return count;
}

/* Send `count` descriptors with `bytes` of `message`, as a stranger may. */
static void send_fds(int socket, const void *message, size_t bytes, uint32_t count)
{
    int fds[16];
    assert_true(count <= CHECK_COUNT(fds));
    for (uint32_t i = 0; i < count; i++) {
        fds[i] = eventfd(i, EFD_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
    assert_int_equal(hello_send(socket, message, bytes, fds, count), STATUS_OK);
    for (uint32_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
}

static void test_message_and_descriptors_arrive_in_order(void **state)
{
    struct pair *pair = *state;
    int before = count_fds();
    struct hello sent = {.magic = HELLO_MAGIC, .abi = 1, .kind = HELLO_ATTACH, .pins = 77};
    memcpy(sent.space.name, "red", 3);
    send_fds(pair->near, &sent, sizeof sent, 5);
    struct hello got;
    int fds[HELLO_FD_MAX];
    uint32_t count = 99;
    assert_int_equal(
        hello_receive(pair->far, &got, sizeof got, fds, HELLO_FD_MAX, &count), STATUS_OK);
    assert_memory_equal(&got, &sent, sizeof got);
    assert_int_equal(count, 5);
    for (uint32_t i = 1; i < count; i++) {
        uint64_t value = 0;
        assert_int_equal(read(fds[i], &value, sizeof value), sizeof value);
        assert_int_equal(value, i);
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
    assert_int_equal(count_fds(), before);
}

static void test_surplus_descriptors_are_closed(void **state)
{
    struct pair *pair = *state;
    int before = count_fds();
    uint64_t message = 42;
    send_fds(pair->near, &message, sizeof message, 9);
    uint64_t got = 0;
    int fds[2] = {-1, -1};
    uint32_t count = 0;
    assert_int_equal(hello_receive(pair->far, &got, sizeof got, fds, 2, &count), STATUS_OK);
    assert_int_equal(count, 2);
    (void)close(fds[0]);
    (void)close(fds[1]);
    assert_int_equal(count_fds(), before);
    /* A receiver that wants none gets none. */
    send_fds(pair->near, &message, sizeof message, 3);
    assert_int_equal(hello_receive(pair->far, &got, sizeof got, NULL, 0, &count), STATUS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(count_fds(), before);
}

static void test_flood_of_descriptors_is_malformed_and_closed(void **state)
{
    struct pair *pair = *state;
    int before = count_fds();
    /* More than the receiver's control buffer holds: the kernel cuts, and says so. */
    enum { FLOOD = 200 };
    union {
        char bytes[CMSG_SPACE(FLOOD * sizeof(int))];
        struct cmsghdr align;
    } control;
    memset(&control, 0, sizeof control);
    uint64_t message = 42;
    struct iovec part = {.iov_base = &message, .iov_len = sizeof message};
    struct msghdr header = {.msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(FLOOD * sizeof(int));
    int fds[FLOOD];
    for (int i = 0; i < FLOOD; i++) {
        fds[i] = pair->near;
    }
    memcpy(CMSG_DATA(rights), fds, sizeof fds);
    assert_int_equal(sendmsg(pair->near, &header, 0), sizeof message);
    uint64_t got = 0;
    uint32_t count = 7;
    int room[HELLO_FD_MAX];
    assert_int_equal(
        hello_receive(pair->far, &got, sizeof got, room, HELLO_FD_MAX, &count), STATUS_MALFORMED);
    assert_int_equal(count, 7);
    assert_int_equal(count_fds(), before);
}

static void test_wrong_size_is_malformed_and_closes_what_came(void **state)
{
    struct pair *pair = *state;
    int before = count_fds();
    char message[sizeof(struct hello) + 1] = {0};
    size_t sizes[] = {1, sizeof(struct hello) - 1, sizeof(struct hello) + 1};
    for (size_t i = 0; i < CHECK_COUNT(sizes); i++) {
        send_fds(pair->near, message, sizes[i], 2);
        struct hello got;
        int fds[4];
        uint32_t count = 7;
        assert_int_equal(
            hello_receive(pair->far, &got, sizeof got, fds, 4, &count), STATUS_MALFORMED);
        assert_int_equal(count, 7);
        assert_int_equal(count_fds(), before);
    }
}

static void test_hung_up_and_nothing_there(void **state)
{
    struct pair *pair = *state;
    uint64_t got = 0;
    uint32_t count = 0;
    struct timeval limit = {.tv_usec = 1000};
    (void)setsockopt(pair->far, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(hello_receive(pair->far, &got, sizeof got, NULL, 0, &count), STATUS_BUSY);
    (void)close(pair->near);
    pair->near = -1;
    assert_int_equal(hello_receive(pair->far, &got, sizeof got, NULL, 0, &count), STATUS_NO_SERVER);
    /* No SIGPIPE either. */
    assert_int_equal(hello_send(pair->far, &got, sizeof got, NULL, 0), STATUS_NO_SERVER);
}

static void test_a_full_socket_is_busy_not_a_wait(void **state)
{
    struct pair *pair = *state;
    static const char message[4096];
    int status = STATUS_OK;
    for (int i = 0; i < 100000 && status == STATUS_OK; i++) {
        status = hello_send(pair->near, message, sizeof message, NULL, 0);
    }
    assert_int_equal(status, STATUS_BUSY);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        TEST(test_message_and_descriptors_arrive_in_order),
        TEST(test_surplus_descriptors_are_closed),
        TEST(test_flood_of_descriptors_is_malformed_and_closed),
        TEST(test_wrong_size_is_malformed_and_closes_what_came),
        TEST(test_hung_up_and_nothing_there),
        TEST(test_a_full_socket_is_busy_not_a_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
