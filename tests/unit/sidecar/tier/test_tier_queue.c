/* test_tier_queue: as many events come out as went in, in their order, also where numbers wrap. */
#include "sidecar/tier/tier_queue.h"

#include "tests/check.h"

static void test_order_survives_every_wrap(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    struct tier_queue queue;
    struct tier_done done[16];
    uint64_t pushed = 0;
    uint64_t popped = 0;
    assert_int_equal(tier_queue_open(8, &queue), 0);
    queue.head = queue.tail = UINT32_MAX - 100;
    while (popped < 1000) {
        uint32_t left = tier_queue_left(&queue);
        assert_int_equal(left, 8 - (pushed - popped));
        for (uint64_t i = check_random(&random) % (left + 1); i > 0; i--) {
            struct tier_done event = {.cookie = pushed++};
            tier_queue_push(&queue, &event);
        }
        uint32_t room = (uint32_t)(check_random(&random) % 16);
        uint32_t got = tier_queue_pop(&queue, done, room);
        assert_true(got <= room && (got == room || popped + got == pushed));
        for (uint32_t i = 0; i < got; i++) {
            assert_int_equal(done[i].cookie, popped++);
        }
    }
    tier_queue_close(&queue);
    tier_queue_close(&queue); /* nothing is there any more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order_survives_every_wrap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
