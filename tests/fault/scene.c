/* scene: what every fault test stands on; see scene.h. */
#include "tests/fault/scene.h"

#include "shm/slot.h"
#include "tests/e2e/worker.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCKS_A_ROUND 300u /* more than the pool has room for: each round evicts */
#define ROUNDS_MAX 1000000u
#define SETTLES_NS UINT64_C(5000000000)

/* The honest worker: a round of work each time that it is told to, then it holds nothing. */
static int work_honestly(void *context, struct child_page *page)
{
    struct scene *scene = context;
    cistern_t *handle = worker_open(page, scene->daemon.socket, 0);
    child_at(page, 1);
    for (uint32_t round = 1; round < ROUNDS_MAX; round++) {
        while (shared32_load_acquire(&page->go) < round) {
            child_nap(); /* for as long as the test lasts; it dies with its parent */
        }
        uint64_t found = 0;
        for (uint64_t i = 0; i < BLOCKS_A_ROUND; i++) {
            worker_put(page, handle, (uint64_t)round << 16 | i);
            /* What was committed a moment ago is never the next victim. */
            found += worker_look(page, handle, (uint64_t)round << 16 | i) == CISTERN_OK;
        }
        child_need(page, found == BLOCKS_A_ROUND, "only %llu blocks were found again",
            (unsigned long long)found);
        struct cistern_stats stats = {.size = sizeof stats};
        child_need(page, cistern_stats(handle, &stats) == CISTERN_OK, "stats");
        child_need(page, stats.reattaches == 0, "it was thrown out");
        child_need(page, stats.violations == 0 && stats.checksum_failures == 0, "wrong copies");
        child_at(page, 1 + round);
    }
    return 0;
}

int scene_open(void **state)
{
    static struct scene scene;
    scene = (struct scene){.gauge = {.segment = SEGMENT_NONE}};
    *state = &scene;
    /* Without a keeper, which would heal a crash that these tests are to show. */
    static const char *const flags[] = {"--no-keeper", NULL};
    bool ready = daemon_start(&scene.daemon, flags) &&
                 gauge_open(&scene.gauge, scene.daemon.socket) &&
                 child_start(&scene.honest, work_honestly, &scene) &&
                 child_reaches(&scene.honest, 1) && scene_is_unharmed(&scene);
    if (!ready) {
        child_kill(&scene.honest);
        gauge_close(&scene.gauge);
        daemon_close(&scene.daemon);
    }
    return ready ? 0 : -1;
}

int scene_close(void **state)
{
    struct scene *scene = *state;
    child_kill(&scene->honest);
    bool home = gauge_becomes(&scene->gauge, COUNTER_sessions_now, 0) &&
                gauge_becomes(&scene->gauge, COUNTER_slots_lent, 0);
    gauge_close(&scene->gauge);
    bool clean = daemon_stop(&scene->daemon);
    daemon_close(&scene->daemon);
    return home && clean ? 0 : -1;
}

/* What the lines of all slots say, and what the counters say. */
struct account {
    uint32_t hot, lent, loading, leaving;
    uint64_t says_hot, says_lent;
};

static struct account take_account(const struct scene *scene)
{
    return (struct account){
        .hot = gauge_slots(&scene->gauge, SLOT_VALID),
        .lent = gauge_slots(&scene->gauge, SLOT_RESERVED),
        .loading = gauge_slots(&scene->gauge, SLOT_LOADING),
        .leaving = gauge_slots(&scene->gauge, SLOT_EVICTING),
        .says_hot = gauge_get(&scene->gauge, COUNTER_slots_hot),
        .says_lent = gauge_get(&scene->gauge, COUNTER_slots_lent),
    };
}

/* Every slot is free, hot, or lent to somebody who lives; the counters say what the lines say. The
 * sidecar may be making room just now: what does not add up has until the deadline. */
static bool adds_up(const struct scene *scene)
{
    uint64_t deadline = child_now_ns() + SETTLES_NS;
    for (;;) {
        struct account is = take_account(scene);
        if (is.hot == is.says_hot && is.lent == is.says_lent && is.loading == 0 &&
            is.leaving == 0) {
            return true;
        }
        if (child_now_ns() > deadline) {
            (void)fprintf(stderr,
                "lines: %u hot, %u lent, %u loading, %u leaving; counters: %llu hot, %llu lent\n",
                is.hot, is.lent, is.loading, is.leaving, (unsigned long long)is.says_hot,
                (unsigned long long)is.says_lent);
            return false;
        }
        child_nap();
    }
}

bool scene_is_unharmed(struct scene *scene)
{
    uint32_t round = ++scene->rounds;
    child_let(&scene->honest, round);
    bool worked = child_reaches(&scene->honest, 1 + round);
    bool lives = daemon_lives(&scene->daemon);
    if (!worked) {
        (void)fprintf(stderr, "the honest worker stopped: %s\n", scene->honest.page->said);
    }
    if (!lives) {
        (void)fprintf(stderr, "the sidecar is dead\n");
    }
    bool home = lives && gauge_becomes(&scene->gauge, COUNTER_sessions_now, 1);
    /* The library keeps a few slots lent ahead for a thread that reserves, and no more. */
    uint64_t lent = gauge_get(&scene->gauge, COUNTER_slots_lent);
    if (home && lent > 8) {
        (void)fprintf(stderr, "%llu slots are lent\n", (unsigned long long)lent);
    }
    bool unharmed = worked && home && lent <= 8 && adds_up(scene);
    if (!unharmed) {
        for (int i = 0; i < COUNTER_COUNT; i++) {
            (void)fprintf(stderr, "    %s %llu\n", counter_name((enum counter)i),
                (unsigned long long)gauge_get(&scene->gauge, (enum counter)i));
        }
        daemon_show_log(&scene->daemon);
    }
    return unharmed;
}
