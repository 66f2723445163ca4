/* crew: see crew.h. */
#include "tests/gpu-double/crew.h"

#include "shm/status.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RUNG_MS 60000

void crew_open(
    struct crew *crew, struct child_page *page, const char *switches, const char *which, int log)
{
    memset(crew, 0, sizeof *crew);
    fleet_begin(&crew->fleet, page, switches, which, log);
    fleet_open(&crew->fleet);
    crew->host = mmap(NULL, CREW_HOST_BYTES, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    child_need(page, crew->host != MAP_FAILED, "no memory");
    int status = movers_open(&crew->movers, &crew->fleet.devices, crew->host, CREW_HOST_BYTES,
        crew->fleet.why, sizeof crew->fleet.why);
    child_need(page, status == STATUS_OK, "movers: %s", crew->fleet.why);
    crew->mover = movers_mover(&crew->movers);
}

void crew_close(struct crew *crew)
{
    child_need(crew->fleet.page, movers_close(&crew->movers), "a thread hangs");
    child_need(crew->fleet.page, movers_close(&crew->movers), "twice");
    (void)munmap(crew->host, CREW_HOST_BYTES);
    fleet_close(&crew->fleet);
}

static uint32_t look(struct crew *crew)
{
    struct move_done done[8];
    uint32_t count = crew->mover.poll(crew->mover.context, done, 8);
    for (uint32_t i = 0; i < count; i++) {
        child_need(crew->fleet.page, done[i].cookie < CREW_DONES, "a cookie that nobody gave");
        crew->answers[done[i].cookie]++;
        crew->status[done[i].cookie] = done[i].status;
    }
    crew->answered += count;
    return count;
}

/* Until it is rung: who polled and found nothing is rung for what comes. */
static void sleep_until_rung(struct crew *crew)
{
    struct pollfd bell = {.fd = movers_fd(&crew->movers), .events = POLLIN};
    uint64_t rings;
    child_need(crew->fleet.page, poll(&bell, 1, RUNG_MS) == 1, "nobody rang");
    child_need(
        crew->fleet.page, read(bell.fd, &rings, sizeof rings) == (ssize_t)sizeof rings, "fd");
}

void crew_start(struct crew *crew, const struct move_copy *copy)
{
    while (!crew->mover.start(crew->mover.context, copy)) {
        if (look(crew) == 0) {
            sleep_until_rung(crew);
        }
    }
}

void crew_await(struct crew *crew, uint32_t answered)
{
    while (crew->answered < answered) {
        if (look(crew) == 0) {
            sleep_until_rung(crew);
        }
    }
}

void crew_await_loss(struct crew *crew)
{
    uint32_t number;
    const char *why;
    while (!movers_lost(&crew->movers, &number, &why)) {
        sleep_until_rung(crew);
    }
    (void)look(crew);
}

static unsigned char byte_of(uint64_t number, uint64_t i)
{
    return (unsigned char)(number * 37 + i / 64 + (i / 4096) * 11);
}

void crew_fill(struct crew *crew, uint64_t offset, uint64_t bytes, uint64_t number)
{
    for (uint64_t i = 0; i < bytes; i++) {
        crew->host[offset + i] = byte_of(number, i);
    }
}

bool crew_holds(const struct crew *crew, uint64_t offset, uint64_t bytes, uint64_t number)
{
    for (uint64_t i = 0; i < bytes; i++) {
        if (crew->host[offset + i] != byte_of(number, i)) {
            return false;
        }
    }
    return true;
}
