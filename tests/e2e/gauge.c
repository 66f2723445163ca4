/* gauge: an observer; see gauge.h. */
#include "tests/e2e/gauge.h"

#include "shm/hello.h"
#include "shm/slot.h"
#include "shm/status.h"
#include "tests/e2e/child.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define BECOMES_NS UINT64_C(20000000000)

static int ask(int fd, struct welcome *out_welcome, int *out_index)
{
    struct hello hello = {.magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .kind = HELLO_OBSERVE};
    uint32_t count = 0;
    int status = hello_send(fd, &hello, sizeof hello, NULL, 0);
    if (status == STATUS_OK) {
        status = hello_receive(fd, out_welcome, sizeof *out_welcome, out_index, 1, &count);
    }
    if (status == STATUS_OK && out_welcome->status != STATUS_OK) {
        status = out_welcome->status;
    }
    return status == STATUS_OK && count != 1 ? STATUS_MALFORMED : status;
}

bool gauge_open(struct gauge *out_gauge, const char *path)
{
    struct gauge gauge = {.segment = SEGMENT_NONE};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 20};
    struct welcome welcome;
    int index = -1;
    int status = STATUS_NO_SERVER;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        status = ask(fd, &welcome, &index);
    }
    if (status == STATUS_OK) {
        status = segment_map(index, welcome.index_bytes, false, &gauge.segment);
    }
    if (status == STATUS_OK) {
        status = layout_index_view(gauge.segment.base, gauge.segment.bytes, &gauge.index);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "the observer got no index: %s\n", status_name(status));
        segment_close(&gauge.segment);
        return false;
    }
    *out_gauge = gauge;
    return true;
}

void gauge_close(struct gauge *gauge)
{
    segment_close(&gauge->segment);
}

uint64_t gauge_get(const struct gauge *gauge, enum counter which)
{
    return counter_get(gauge->index.header->counter, which);
}

/* Wait until the counter lies between the two. */
static bool gauge_waits(
    const struct gauge *gauge, enum counter which, uint64_t least, uint64_t most)
{
    uint64_t deadline = child_now_ns() + BECOMES_NS;
    for (;;) {
        uint64_t value = gauge_get(gauge, which);
        if (value >= least && value <= most) {
            return true;
        }
        if (child_now_ns() > deadline) {
            (void)fprintf(stderr, "%s is %llu, and never became %llu%s\n", counter_name(which),
                (unsigned long long)value, (unsigned long long)least,
                most > least ? " or more" : "");
            return false;
        }
        child_nap();
    }
}

bool gauge_becomes(const struct gauge *gauge, enum counter which, uint64_t value)
{
    return gauge_waits(gauge, which, value, value);
}

bool gauge_reaches(const struct gauge *gauge, enum counter which, uint64_t value)
{
    return gauge_waits(gauge, which, value, UINT64_MAX);
}

uint32_t gauge_slots(const struct gauge *gauge, uint32_t state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < gauge->index.slots; i++) {
        count += slot_state_of(slot_load_state(&gauge->index.lines[i])) == state;
    }
    return count;
}
