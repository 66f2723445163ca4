/* stage: see stage.h. */
#include "tests/budget/stage.h"

#include "tests/check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct plan {
    const char *socket;
    uint32_t open_flags;
    stage_act *act;
};

static void put_blocks(struct stage *stage)
{
    for (uint64_t i = 0; i < STAGE_BLOCKS; i++) {
        stage->keys[i] = worker_key(i);
        worker_put(stage->page, stage->handle, i);
        worker_find(stage->page, stage->handle, i);
    }
}

static int play(void *context, struct child_page *page)
{
    const struct plan *plan = context;
    static struct stage stage;
    stage = (struct stage){.socket = plan->socket, .page = page};
    int status = worker_try_open(plan->socket, plan->open_flags, STAGE_BLOCKS, &stage.handle);
    child_need(page, status == CISTERN_OK, "open: %s", cistern_why());
    child_need(page, gauge_open(&stage.gauge, plan->socket), "no counters");
    put_blocks(&stage);
    plan->act(&stage);
    gauge_close(&stage.gauge);
    cistern_close(&stage.handle);
    return 0;
}

void stage_arm(void)
{
    if (!tally_arm()) {
        (void)printf("skipped: no seccomp filter here: %s\n", strerror(errno));
        (void)fflush(stdout);
        _exit(CHECK_SKIP);
    }
}

void stage_run(const char *const flags[], uint32_t open_flags, stage_act *act)
{
    static struct daemon daemon;
    assert_true(daemon_start(&daemon, flags));
    struct plan plan = {.socket = daemon.socket, .open_flags = open_flags, .act = act};
    int status = child_run(play, &plan);
    bool stopped = daemon_stop(&daemon);
    daemon_close(&daemon);
    if (status == CHECK_SKIP) {
        skip();
    }
    assert_int_equal(status, 0);
    assert_true(stopped);
}

void stage_expect(struct stage *stage, const char *what, const struct tally *tally, uint64_t calls)
{
    child_need(stage->page, tally->allocations == 0, "%s: %" PRIu64 " allocations", what,
        tally->allocations);
    child_need(stage->page, tally->calls == calls,
        "%s: %" PRIu64 " system calls instead of %" PRIu64 ", the last one number %ld", what,
        tally->calls, calls, tally->last);
}
