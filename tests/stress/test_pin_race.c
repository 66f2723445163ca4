/* A reader that validated its pin reads the block of its key, whatever the server evicts meanwhile:
 * threads in one mapping, so that ThreadSanitizer can follow every address. */
#include "tests/stress/race.h"

#include "tests/check.h"

#include <string.h>

static void a_validated_block_never_changes(void **state)
{
    (void)state;
    static struct race_index index;
    static struct race_lane lanes[RACE_READERS];
    struct race_side side = {.index = &index, .lanes = lanes};

    struct race_outcome outcome = race_run(&side, &side, check_seed());

    assert_int_equal(outcome.wrong, 0);
    assert_int_equal(outcome.wild, 0);
    assert_true(outcome.hits > 0);
    assert_true(outcome.evictions > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_validated_block_never_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
