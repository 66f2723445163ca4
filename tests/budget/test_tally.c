/* The counters count: one for each system call and allocation, also those inside the library. */
#include "tests/budget/stage.h"
#include "tests/check.h"

#include <string.h>
#include <unistd.h>

#define TIMES 1000u

static const char *const flags[] = {"--pool=64MiB", NULL};

static void counts_calls(struct stage *stage)
{
    stage_arm();
    int ends[2];
    char byte = 'x';
    child_need(stage->page, pipe(ends) == 0, "no pipe");
    tally_start();
    for (uint32_t i = 0; i < TIMES; i++) {
        bool moved = write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1;
        child_need(stage->page, moved && byte == 'x', "a counted call does not do its work");
    }
    struct tally tally = tally_stop();
    stage_expect(stage, "write and read", &tally, 2 * TIMES);
    child_need(stage->page, close(-1) == -1, "a counted call cannot fail");
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void counts_allocations(struct stage *stage)
{
    void *volatile memory = NULL; /* else the compiler leaves both out */
    tally_start();
    for (uint32_t i = 0; i < TIMES; i++) {
        memory = malloc(16);
        memory = realloc(memory, 32);
        free(memory);
    }
    struct tally tally = tally_stop();
    child_need(stage->page, tally.allocations == 3 * TIMES, "%llu allocations",
        (unsigned long long)tally.allocations);
}

/* An attach must allocate and make system calls: if none were seen, the library goes its own
 * ways. */
static void sees_inside_the_library(struct stage *stage)
{
    stage_arm();
    cistern_t *second = NULL;
    tally_start();
    int status = worker_try_open(stage->socket, 0, 1, &second);
    struct tally tally = tally_stop();
    child_need(stage->page, status == CISTERN_OK, "open: %s", cistern_why());
    child_need(stage->page, tally.allocations > 0 && tally.calls > 0, "the library is not counted");
    cistern_close(&second);
}

static void counts_what_is_there(void **state)
{
    (void)state;
    stage_run(flags, 0, counts_calls);
    stage_run(flags, 0, counts_allocations);
    stage_run(flags, 0, sees_inside_the_library);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_what_is_there)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
