/* stage: a private cisternd, and a child at it whose every step is counted.
 *
 * Called by the tests of this folder. The child opens a handle of its own, puts STAGE_BLOCKS blocks
 * that all calls then hit, and warms up, before anything is counted.
 */
#ifndef CISTERN_TESTS_BUDGET_STAGE_H
#define CISTERN_TESTS_BUDGET_STAGE_H

#include "tests/budget/tally.h"
#include "tests/e2e/child.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/gauge.h"
#include "tests/e2e/worker.h"

#include "libclient/include/cistern.h"

#define STAGE_BLOCKS 64u

struct stage {
    const char *socket;
    struct child_page *page;
    cistern_t *handle;
    struct gauge gauge; /* the sidecar's counters */
    struct cistern_key keys[STAGE_BLOCKS]; /* all hot */
    struct cistern_view views[STAGE_BLOCKS];
};

typedef void stage_act(struct stage *stage);

/* Start a cisternd with `flags` (NULL at the end) and run `act` in a child with a handle that
 * was opened with `open_flags`. A cmocka assertion fails if anything in it did; skips the test
 * where the kernel has no seccomp. */
void stage_run(const char *const flags[], uint32_t open_flags, stage_act *act);

/* Child: count this thread's system calls from here on. Ends the process as skipped without
 * seccomp. */
void stage_arm(void);

/* Child: nothing was counted but what is allowed. */
void stage_expect(struct stage *stage, const char *what, const struct tally *tally, uint64_t calls);

#endif
