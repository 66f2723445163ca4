/* test_policy_shelf: blocks are found where their stamp says, however the segments were merged. */
#include "sidecar/block/policy_shelf.h"

#include "tests/check.h"

#define SLOTS 256u

static struct policy_shelf shelf;
static struct policy_node nodes[SLOTS];

/* Walk all lists; each block that is out there is met once, in its row, in its segment. */
static void check_all(const bool *on, const uint32_t *rows)
{
    bool met[SLOTS] = {false};
    for (uint32_t row = 0; row < POLICY_SHELF_ROWS; row++) {
        for (uint32_t column = 0; column < POLICY_SHELF_SEGMENTS; column++) {
            const struct policy_shelf_ends *ends = &shelf.ends[row][column];
            bool filled = shelf.filled[row] >> column & 1;
            assert_int_equal(filled, ends->oldest != POLICY_NONE);
            if (filled) {
                assert_int_equal(ends->stamp, nodes[ends->oldest].stamp);
            }
            uint32_t before = POLICY_NONE;
            for (uint32_t slot = ends->oldest; slot != POLICY_NONE; slot = nodes[slot].newer) {
                assert_true(on[slot] && !met[slot] && rows[slot] == row);
                assert_int_equal(policy_shelf_column(&shelf, nodes[slot].stamp), column);
                assert_int_equal(nodes[slot].older, before);
                met[slot] = true;
                before = slot;
            }
            assert_int_equal(ends->newest, before);
        }
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        assert_int_equal(met[slot], on[slot]);
    }
}

static void run(uint64_t seed, uint32_t now)
{
    bool on[SLOTS] = {false};
    uint32_t rows[SLOTS] = {0};
    policy_shelf_open(&shelf, now);
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t slot = (uint32_t)(check_random(&seed) % SLOTS);
        now += (uint32_t)(check_random(&seed) % 3);
        if (on[slot]) {
            policy_shelf_remove(&shelf, nodes, rows[slot], slot);
            on[slot] = false;
        } else {
            bool newest = check_random(&seed) % 4 > 0;
            rows[slot] = (uint32_t)(check_random(&seed) % POLICY_SHELF_ROWS);
            nodes[slot].stamp = newest ? now : now - (uint32_t)(check_random(&seed) % 5000);
            policy_shelf_add(&shelf, nodes, rows[slot], slot, newest);
            on[slot] = true;
        }
        if ((int32_t)(now - shelf.starts[0]) >= 4) {
            policy_shelf_cut(&shelf, nodes, now);
        }
        if (step % 64 == 0) {
            check_all(on, rows);
        }
    }
}

static void test_nobody_is_lost_by_cuts_and_merges(void **state)
{
    (void)state;
    run(check_seed(), 1000000);
}

static void test_time_may_wrap(void **state)
{
    (void)state;
    run(check_seed(), UINT32_MAX - 5000);
}

static void test_segments_are_short_beside_their_age(void **state)
{
    (void)state;
    policy_shelf_open(&shelf, 0);
    for (uint32_t now = 10; now < 10000; now += 10) {
        policy_shelf_cut(&shelf, nodes, now);
        assert_true(shelf.count <= POLICY_SHELF_SEGMENTS);
    }
    for (uint32_t i = 1; i + 1 < shelf.count; i++) {
        uint32_t length = shelf.starts[i - 1] - shelf.starts[i];
        uint32_t age = shelf.starts[0] - shelf.starts[i];
        assert_true(length <= 10 + age / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_is_lost_by_cuts_and_merges),
        cmocka_unit_test(test_time_may_wrap),
        cmocka_unit_test(test_segments_are_short_beside_their_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
