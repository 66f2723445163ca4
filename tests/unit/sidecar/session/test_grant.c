/* grant: every lent slot has one borrower, and every borrower its own list. */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/session/grant.h"

#define SLOTS 64u
#define BORROWERS 5u
#define STEPS 5000

/* Is the list exactly the slots that name its owner? */
static void check_list(const struct grants *grants, const struct grant_list *list, uint32_t number)
{
    uint32_t count = 0;
    uint32_t before = GRANT_NONE;
    for (uint32_t at = list->first; at != GRANT_NONE; at = grants->next[at]) {
        assert_true(count < SLOTS);
        assert_int_equal(grant_borrower(grants, at), number);
        assert_int_equal(grants->previous[at], before);
        before = at;
        count++;
    }
    uint32_t named = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        named += grant_borrower(grants, slot) == number ? 1 : 0;
    }
    assert_int_equal(count, list->count);
    assert_int_equal(count, named);
}

static void a_slot_comes_home_from_anywhere_in_the_list(void **state)
{
    (void)state;
    struct grants grants;
    struct grant_list list = GRANT_LIST_EMPTY;
    assert_int_equal(grant_open(&grants, SLOTS), STATUS_OK);
    for (uint32_t slot = 0; slot < 4; slot++) {
        grant_lend(&grants, &list, 9, slot);
    }
    static const uint32_t order[] = {1, 3, 0, 2}; /* middle, first, last, only */
    for (uint32_t i = 0; i < 4; i++) {
        grant_home(&grants, &list, order[i]);
        assert_int_equal(grant_borrower(&grants, order[i]), 0);
        check_list(&grants, &list, 9);
    }
    assert_int_equal(list.first, GRANT_NONE);
    grant_close(&grants);
}

static void lists_stay_apart_over_many_random_moves(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    struct grants grants;
    struct grant_list lists[BORROWERS];
    assert_int_equal(grant_open(&grants, SLOTS), STATUS_OK);
    for (uint32_t i = 0; i < BORROWERS; i++) {
        lists[i] = GRANT_LIST_EMPTY;
    }
    for (int step = 0; step < STEPS; step++) {
        uint32_t slot = (uint32_t)(check_random(&random) % SLOTS);
        uint32_t borrower = grant_borrower(&grants, slot);
        if (borrower != 0) {
            grant_home(&grants, &lists[borrower - 1], slot);
        } else {
            borrower = 1 + (uint32_t)(check_random(&random) % BORROWERS);
            grant_lend(&grants, &lists[borrower - 1], borrower, slot);
        }
        check_list(&grants, &lists[borrower - 1], borrower);
    }
    for (uint32_t i = 0; i < BORROWERS; i++) {
        check_list(&grants, &lists[i], i + 1);
    }
    grant_close(&grants);
}

static void close_accepts_null_and_a_closed_one(void **state)
{
    (void)state;
    struct grants grants;
    assert_int_equal(grant_open(&grants, SLOTS), STATUS_OK);
    grant_close(&grants);
    assert_null(grants.borrower);
    grant_close(&grants);
    grant_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_comes_home_from_anywhere_in_the_list),
        cmocka_unit_test(lists_stay_apart_over_many_random_moves),
        cmocka_unit_test(close_accepts_null_and_a_closed_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
