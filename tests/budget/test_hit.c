/* A hit costs no system call and no allocation, whoever releases it. */
#include "tests/budget/stage.h"
#include "tests/check.h"

#include <pthread.h>

#define BLOCKS 1000000u
#define COPIES 20000u
#define MISSES 1000000u
#define HANDOVERS 200u
#define LOOK_NS UINT64_C(50000000) /* a missing client looks at its socket once in this time */

static const char *const with_auto[] = {"--pool=64MiB", NULL};
static const char *const with_epoll[] = {"--pool=64MiB", "--io=epoll", NULL};

static void check_hits(struct stage *stage, uint64_t hits)
{
    struct cistern_stats stats = {.size = sizeof stats};
    int status = cistern_stats(stage->handle, &stats);
    child_need(stage->page, status == CISTERN_OK && stats.hits >= hits && stats.violations == 0,
        "%llu hits, %llu violations", (unsigned long long)stats.hits,
        (unsigned long long)stats.violations);
}

static void one_by_one(struct stage *stage)
{
    tally_start();
    for (uint32_t i = 0; i < BLOCKS; i++) {
        size_t count = 0;
        int status =
            cistern_acquire(stage->handle, &stage->keys[i % STAGE_BLOCKS], 1, stage->views, &count);
        int released = cistern_release(stage->handle, stage->views, 1);
        child_need(stage->page, status == CISTERN_OK && released == CISTERN_OK, "acquire: %s",
            cistern_status_name(status));
    }
    struct tally tally = tally_stop();
    stage_expect(stage, "acquire and release", &tally, 0);
    child_need(stage->page, tally.clocks == 0, "a hit reads the clock");
    check_hits(stage, BLOCKS);
}

static void in_batches(struct stage *stage)
{
    tally_start();
    for (uint32_t i = 0; i < BLOCKS; i += STAGE_BLOCKS) {
        size_t count = 0;
        int status =
            cistern_acquire(stage->handle, stage->keys, STAGE_BLOCKS, stage->views, &count);
        int released = cistern_release(stage->handle, stage->views, count);
        child_need(stage->page,
            status == CISTERN_OK && released == CISTERN_OK && count == STAGE_BLOCKS,
            "acquire: %s, %zu blocks: %s", cistern_status_name(status), count, cistern_why());
    }
    struct tally tally = tally_stop();
    stage_expect(stage, "batches", &tally, 0);
    check_hits(stage, BLOCKS);
}

static void matches(struct stage *stage)
{
    struct cistern_match match = {.size = sizeof match};
    tally_start();
    for (uint32_t i = 0; i < BLOCKS; i += STAGE_BLOCKS) {
        int status = cistern_match(stage->handle, stage->keys, STAGE_BLOCKS, &match);
        child_need(stage->page, status == CISTERN_OK && match.hot == STAGE_BLOCKS,
            "match: %s, %u hot", cistern_status_name(status), match.hot);
    }
    struct tally tally = tally_stop();
    stage_expect(stage, "match", &tally, 0);
}

/* What is hot already is fetched without a word to the sidecar. */
static void fetches(struct stage *stage)
{
    size_t hot = 0;
    tally_start();
    for (uint32_t i = 0; i < BLOCKS; i += STAGE_BLOCKS) {
        int status = cistern_fetch(stage->handle, stage->keys, STAGE_BLOCKS, 0, &hot);
        int hint = cistern_prefetch(stage->handle, stage->keys, STAGE_BLOCKS);
        child_need(stage->page, status == CISTERN_OK && hint == CISTERN_OK && hot == STAGE_BLOCKS,
            "fetch: %s, %zu hot", cistern_status_name(status), hot);
    }
    struct tally tally = tally_stop();
    stage_expect(stage, "fetch of hot blocks", &tally, 0);
}

static void copies(struct stage *stage)
{
    static char data[WORKER_BLOCK_BYTES];
    tally_start();
    for (uint32_t i = 0; i < COPIES; i++) {
        uint64_t bytes = 0;
        int status =
            cistern_get(stage->handle, &stage->keys[i % STAGE_BLOCKS], data, sizeof data, &bytes);
        child_need(stage->page, status == CISTERN_OK && bytes == sizeof data, "get: %s",
            cistern_status_name(status));
    }
    struct tally tally = tally_stop();
    stage_expect(stage, "get", &tally, 0);
    child_need(stage->page, worker_is_right(data, sizeof data, (COPIES - 1) % STAGE_BLOCKS),
        "wrong bytes");
}

/* A miss may be a dead sidecar's: now and then it looks, by one system call. */
static void misses(struct stage *stage)
{
    struct cistern_key nowhere = worker_key(UINT64_C(1) << 40);
    uint64_t start = child_now_ns();
    tally_start();
    for (uint32_t i = 0; i < MISSES; i++) {
        size_t count = 0;
        int status = cistern_acquire(stage->handle, &nowhere, 1, stage->views, &count);
        child_need(stage->page, status == CISTERN_MISS, "acquire: %s", cistern_status_name(status));
    }
    struct tally tally = tally_stop();
    uint64_t looks = (child_now_ns() - start) / LOOK_NS + 2; /* one at each end */
    child_need(stage->page, tally.allocations == 0, "a miss allocates");
    child_need(stage->page, tally.calls <= looks, "%llu system calls where %llu are allowed",
        (unsigned long long)tally.calls, (unsigned long long)looks);
}

/* Views on their way from the thread that pins them to the one that releases them. */
struct handover {
    struct stage *stage;
    _Atomic uint32_t filled; /* rounds, by the owner */
    _Atomic uint32_t emptied; /* rounds, by the other; it begins when this is 1 */
};

static void *pin_for_another(void *context)
{
    struct handover *handover = context;
    struct stage *stage = handover->stage;
    for (uint32_t round = 1; round <= HANDOVERS; round++) {
        while (shared32_load_acquire(&handover->emptied) != round) {
            shared_relax();
        }
        size_t count = 0;
        int status =
            cistern_acquire(stage->handle, stage->keys, STAGE_BLOCKS, stage->views, &count);
        child_need(stage->page, status == CISTERN_OK && count == STAGE_BLOCKS,
            "round %u: acquire: %s, %zu blocks", round, cistern_status_name(status), count);
        shared32_store_release(&handover->filled, round);
    }
    /* A thread that ends gives its seat back under the handle's lock: not while we count. */
    while (shared32_load_acquire(&handover->emptied) != HANDOVERS + 1) {
        shared_relax();
    }
    return NULL;
}

/* It takes the handle's lock, which nobody else wants here. */
static void released_by_another(struct handover *handover)
{
    struct stage *stage = handover->stage;
    for (uint32_t round = 1; round <= HANDOVERS; round++) {
        shared32_store_release(&handover->emptied, round);
        while (shared32_load_acquire(&handover->filled) != round) {
            shared_relax();
        }
        tally_start();
        int status = cistern_release(stage->handle, stage->views, STAGE_BLOCKS);
        struct tally tally = tally_stop();
        child_need(stage->page, status == CISTERN_OK, "release: %s", cistern_status_name(status));
        stage_expect(stage, "release by another thread", &tally, 0);
    }
    shared32_store_release(&handover->emptied, HANDOVERS + 1);
}

static void all(struct stage *stage)
{
    struct handover handover = {.stage = stage};
    pthread_t owner; /* made before the filter: its own calls are not counted */
    int made = pthread_create(&owner, NULL, pin_for_another, &handover);
    child_need(stage->page, made == 0, "no thread");
    stage_arm();
    one_by_one(stage);
    in_batches(stage);
    matches(stage);
    fetches(stage);
    copies(stage);
    misses(stage);
    released_by_another(&handover);
    (void)pthread_join(owner, NULL);
}

static void hits_cost_nothing(void **state)
{
    (void)state;
    stage_run(with_auto, 0, all);
}

static void hits_cost_nothing_with_epoll(void **state)
{
    (void)state;
    stage_run(with_epoll, 0, all);
}

static void hits_cost_an_isolated_client_nothing(void **state)
{
    (void)state;
    stage_run(with_auto, CISTERN_ISOLATED, all);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hits_cost_nothing),
        cmocka_unit_test(hits_cost_nothing_with_epoll),
        cmocka_unit_test(hits_cost_an_isolated_client_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
