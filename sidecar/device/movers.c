/* movers: see movers.h. */
#include "sidecar/device/movers.h"

#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bool start(void *context, const struct move_copy *copy)
{
    struct movers *movers = context;
    struct mover_thread *mover = copy->device < movers->count ? movers->thread[copy->device] : NULL;
    if (mover == NULL || mover->under_way == MOVER_COPIES ||
        shared32_load_relaxed(&mover->lost) != 0) {
        return false;
    }
    assert(copy->bytes > 0 && copy->bytes <= mover->host_bytes &&
           copy->host_offset <= mover->host_bytes - copy->bytes);
    assert(copy->device_offset + copy->bytes <= mover->slabs->count * mover->slabs->slab_bytes);
    mover->under_way++;
    channel_ask(mover->channel, copy);
    return true;
}

/* What one device answered. */
static uint32_t drain(struct mover_thread *mover, struct move_done *out_done, uint32_t room)
{
    uint32_t count = 0;
    while (count < room && channel_take(mover->channel, &out_done[count])) {
        assert(mover->under_way > 0);
        mover->under_way--;
        count++;
    }
    return count;
}

/* Say to all that we sleep. Returns false if something came meanwhile. */
static bool sleep_now(struct movers *movers)
{
    bool quiet = true;
    for (uint32_t i = 0; i < movers->count; i++) {
        struct mover_thread *mover = movers->thread[i];
        if (mover != NULL && mover->under_way > 0) {
            quiet = !channel_front_sleep(mover->channel) && quiet;
        }
    }
    return quiet;
}

/* As a tier's poll: when nothing is left it says that it sleeps, and is rung from then on. Twice at
 * most: once more if something came just then. */
static uint32_t poll(void *context, struct move_done *out_done, uint32_t room)
{
    struct movers *movers = context;
    uint32_t count = 0;
    bool quiet = false;
    for (uint32_t pass = 0; pass < 2 && !quiet && count < room; pass++) {
        for (uint32_t i = 0; i < movers->count; i++) {
            struct mover_thread *mover = movers->thread[(movers->turn + i) % movers->count];
            if (mover != NULL && mover->under_way > 0) {
                channel_front_wake(mover->channel);
                count += drain(mover, out_done + count, room - count);
            }
        }
        movers->turn++;
        quiet = count < room && sleep_now(movers);
    }
    if (!quiet) { /* something may be left: the descriptor tells a caller that goes to sleep */
        uint64_t one = 1;
        ssize_t written = write(movers->event_fd, &one, sizeof one);
        (void)written;
    }
    return count;
}

struct mover movers_mover(struct movers *movers)
{
    return (struct mover){.start = start, .poll = poll, .context = movers};
}

int movers_fd(const struct movers *movers)
{
    return movers->event_fd;
}

static int open_one(struct movers *movers, const struct devices *devices, uint32_t number,
    void *host, uint64_t host_bytes)
{
    struct mover_thread *mover = calloc(1, sizeof *mover);
    if (mover == NULL) {
        return STATUS_NO_MEMORY;
    }
    mover->gpu = &devices->one[number].gpu;
    mover->slabs = &devices->one[number].slabs;
    mover->lock = &movers->lock;
    mover->host = host;
    mover->host_bytes = host_bytes;
    int status = mover_thread_open(mover, movers->event_fd);
    if (status != STATUS_OK) {
        free(mover);
        return status;
    }
    movers->thread[number] = mover;
    return STATUS_OK;
}

int movers_open(struct movers *out, const struct devices *devices, void *host, uint64_t host_bytes,
    char *why, size_t why_bytes)
{
    assert(devices->count > 0);
    memset(out, 0, sizeof *out);
    mover_lock_init(&out->lock);
    out->count = devices->count;
    out->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int status = out->event_fd < 0 ? STATUS_NO_MEMORY : STATUS_OK;
    for (uint32_t i = 0; i < devices->count && status == STATUS_OK; i++) {
        if (devices->gift[i].usable) {
            status = open_one(out, devices, i, host, host_bytes);
        }
    }
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes,
            "no memory, descriptor or thread for the copies of devices; remedy: raise ulimit -n "
            "and ulimit -u");
        (void)movers_close(out);
    }
    return status;
}

bool movers_lost(const struct movers *movers, uint32_t *out_number, const char **out_why)
{
    for (uint32_t i = 0; i < movers->count; i++) {
        const struct mover_thread *mover = movers->thread[i];
        /* Partner: the release store of lose(), behind the words. */
        if (mover != NULL && shared32_load_acquire(&mover->lost) != 0) {
            *out_number = i;
            *out_why = mover->why;
            return true;
        }
    }
    return false;
}

void movers_tick(struct movers *movers, struct log *log)
{
    uint32_t state = shared32_load_acquire(&movers->lock.state);
    if (!movers->said && state != MOVER_LOCK_OPEN) {
        movers->said = true;
        log_line(
            log, state == MOVER_LOCK_DONE ? LOG_INFO : LOG_WARN, "device", "%s", movers->lock.why);
    }
}

bool movers_locked(const struct movers *movers)
{
    return shared32_load_relaxed(&movers->lock.state) == MOVER_LOCK_DONE;
}

bool movers_close(struct movers *movers)
{
    bool ended = true;
    if (movers->count == 0) {
        return true;
    }
    for (uint32_t i = 0; i < movers->count; i++) {
        if (movers->thread[i] != NULL) {
            mover_thread_stop(movers->thread[i]);
        }
    }
    for (uint32_t i = 0; i < movers->count; i++) {
        ended =
            (movers->thread[i] == NULL || mover_thread_join(movers->thread[i], MOVERS_CLOSE_NS)) &&
            ended;
    }
    if (!ended) {
        return false;
    }
    for (uint32_t i = 0; i < movers->count; i++) {
        if (movers->thread[i] != NULL) {
            mover_thread_close(movers->thread[i]);
            free(movers->thread[i]);
        }
    }
    mover_lock_fini(&movers->lock);
    if (movers->event_fd >= 0) {
        (void)close(movers->event_fd);
    }
    *movers = (struct movers){.event_fd = -1};
    return true;
}
