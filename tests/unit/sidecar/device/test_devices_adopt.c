/* devices_adopt: what the keeper holds of devices is judged before the driver is asked: numbers
 * stay what they were, and the keeper lets go of what is lost. With a driver: tests/gpu-double. */
#include "tests/check.h"

#include "shm/hello.h"
#include "shm/status.h"
#include "sidecar/device/devices.h"
#include "sidecar/moment.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct scene {
    struct keep keep;
    int keeper; /* the other end of its socket */
    int log;
    struct log to;
    struct devices devices;
};

static int set_up(void **state)
{
    static struct scene scene;
    int ends[2];
    memset(&scene, 0, sizeof scene);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    scene.keep.socket = ends[0];
    scene.keeper = ends[1];
    scene.log = memfd_create("log", MFD_CLOEXEC);
    log_init(&scene.to, scene.log, LOG_DEBUG);
    *state = &scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    devices_close(&scene->devices);
    keep_close(&scene->keep);
    (void)close(scene->keeper);
    (void)close(scene->log);
    return 0;
}

/* A device of whose UUID there is none. */
static struct devices_record record_of(uint32_t number)
{
    struct devices_record record = {.pool_id = 100 + number,
        .slab_bytes = UINT64_C(64) << 20,
        .slabs = 2,
        .kind = SLAB_VMM,
        .name = "gone"};
    memset(&record.uuid, 0xee, sizeof record.uuid);
    return record;
}

static void hold(struct scene *scene, uint32_t kind, uint32_t id, const void *blob, uint32_t bytes)
{
    struct keep_item item = {.kind = kind, .id = id, .bytes = bytes};
    unsigned char copy[KEEP_TABLE_BYTES];
    if (bytes > 0) {
        memcpy(copy, blob, bytes);
    }
    item.blob = copy;
    if (kind == KEEP_SLAB) {
        item.fd_count = 1;
        item.fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    assert_int_equal(keep_table_put(&scene->keep.held, &item), STATUS_OK);
}

/* Read what the keeper was told. Returns the slabs that it is to drop; its records are those of a
 * lost device. */
static uint32_t told(struct scene *scene, uint32_t *out_records)
{
    struct keep_message message;
    uint32_t fds = 0;
    uint32_t drops = 0;
    *out_records = 0;
    while (hello_receive(scene->keeper, &message, sizeof message, NULL, 0, &fds) == STATUS_OK) {
        if (message.verb == KEEP_DROP) {
            assert_int_equal(message.kind, KEEP_SLAB);
            drops++;
            continue;
        }
        struct devices_record record;
        assert_int_equal(message.kind, KEEP_DEVICE);
        assert_int_equal(message.bytes, sizeof record);
        memcpy(&record, message.blob, sizeof record);
        assert_int_equal(record.pool_id, 0);
        assert_int_equal(record.slabs, 0);
        ++*out_records;
    }
    return drops;
}

static void says(const struct scene *scene, const char *words)
{
    char text[4096];
    ssize_t bytes = pread(scene->log, text, sizeof text - 1, 0);
    text[bytes > 0 ? bytes : 0] = '\0';
    if (strstr(text, words) == NULL) {
        fail_msg("no \"%s\" in %s", words, text);
    }
}

static void a_number_that_is_missing_keeps_its_place(void **state)
{
    struct scene *scene = *state;
    struct devices_record record = record_of(2);
    assert_int_equal(devices_held(NULL), 0);
    assert_int_equal(devices_held(&scene->keep), 0);
    hold(scene, KEEP_DEVICE, 2, &record, sizeof record);
    hold(scene, KEEP_DEVICE, 77, &record, sizeof record); /* no device has that number */
    assert_int_equal(devices_held(&scene->keep), 3);
    devices_adopt(&scene->devices, &scene->keep, &scene->to);
    assert_int_equal(scene->devices.count, 3);
    assert_int_equal(scene->devices.lost, 7);
    says(scene, "device 0: GPU-00000000-0000-0000-0000-000000000000: what lay there is lost: what "
                "the keeper holds of it is not understood");
    says(scene, "device 2: GPU-eeeeeeee");
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(scene->devices.gift[i].usable);
    }
}

static void the_keeper_lets_go_of_what_is_lost(void **state)
{
    struct scene *scene = *state;
    uint32_t records = 0;
    for (uint32_t i = 0; i < 2; i++) {
        struct devices_record record = record_of(i);
        hold(scene, KEEP_DEVICE, i, &record, sizeof record);
        hold(scene, KEEP_SLAB, i * HELLO_SLABS, NULL, 0);
        hold(scene, KEEP_SLAB, i * HELLO_SLABS + 1, NULL, 0);
    }
    devices_adopt(&scene->devices, &scene->keep, &scene->to);
    assert_int_equal(told(scene, &records), 4);
    assert_int_equal(records, 2);
    uint32_t at = 0;
    assert_null(keep_table_next(&scene->keep.held, KEEP_SLAB, &at));
}

static void what_is_not_believed_is_lost_and_says_why(void **state)
{
    static const struct {
        uint64_t pool_id;
        uint32_t slabs;
        uint32_t kind;
        bool broken;
        const char *words;
    } cases[] = {
        {0, 2, SLAB_VMM, false, "its memory was lost before"},
        {1, 2, SLAB_LEGACY, false, "cuIpc memory ends with the server that made it"},
        {1, 0, SLAB_VMM, false, "contradicts itself"},
        {1, SLAB_MOST + 1, SLAB_VMM, false, "contradicts itself"},
        {1, 2, SLAB_VMM, true, "it failed 2 times within a minute"},
    };
    struct scene *scene = *state;
    for (size_t i = 0; i < CHECK_COUNT(cases); i++) {
        struct devices_record record = record_of(0);
        record.pool_id = cases[i].pool_id;
        record.slabs = cases[i].slabs;
        record.kind = cases[i].kind;
        record.fault_ns[0] = cases[i].broken ? moment_ns() : 0;
        hold(scene, KEEP_DEVICE, 0, &record, sizeof record);
        devices_adopt(&scene->devices, &scene->keep, &scene->to);
        says(scene, cases[i].words);
        assert_int_equal(scene->devices.lost, 1);
        devices_close(&scene->devices);
    }
}

static void failures_of_long_ago_are_forgiven(void **state)
{
    struct scene *scene = *state;
    struct devices_record record = record_of(0);
    record.fault_ns[0] = 1;
    record.fault_ns[1] = moment_ns();
    hold(scene, KEEP_DEVICE, 0, &record, sizeof record);
    devices_adopt(&scene->devices, &scene->keep, &scene->to);
    char text[1024] = "";
    assert_true(pread(scene->log, text, sizeof text - 1, 0) > 0);
    assert_null(strstr(text, "within a minute")); /* it is the driver that it lacks here */
}

static void a_failure_is_remembered_with_the_one_before(void **state)
{
    struct scene *scene = *state;
    struct keep_message message;
    uint32_t fds = 0;
    struct devices_record record;
    scene->devices.count = 1;
    scene->devices.one[0].record = record_of(0);
    devices_failed(&scene->devices, 0, &scene->keep);
    devices_failed(&scene->devices, 0, &scene->keep);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(
            hello_receive(scene->keeper, &message, sizeof message, NULL, 0, &fds), STATUS_OK);
        memcpy(&record, message.blob, sizeof record);
        assert_int_equal(record.fault_ns[0] != 0, i == 1);
        assert_int_equal(record.pool_id, 100);
    }
    assert_true(record.fault_ns[0] <= record.fault_ns[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_number_that_is_missing_keeps_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_keeper_lets_go_of_what_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_is_not_believed_is_lost_and_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_of_long_ago_are_forgiven, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_failure_is_remembered_with_the_one_before, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
