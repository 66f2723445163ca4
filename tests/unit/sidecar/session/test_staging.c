/* staging: a place is lent or free, and no lending can be taken for another. */
#include "tests/check.h"

#include "shm/layout.h"
#include "shm/status.h"
#include "sidecar/session/staging.h"

#define PLACES 4u

static void a_place_is_a_whole_number_of_pages(void **state)
{
    (void)state;
    assert_int_equal(staging_place_bytes(1), LAYOUT_PAGE_BYTES);
    assert_int_equal(staging_place_bytes(LAYOUT_PAGE_BYTES), LAYOUT_PAGE_BYTES);
    assert_int_equal(staging_place_bytes(LAYOUT_PAGE_BYTES + 1), 2 * LAYOUT_PAGE_BYTES);
    assert_int_equal(staging_place_bytes(UINT32_MAX), UINT64_C(1) << 32);
}

static void every_place_is_lent_once_and_lies_alone(void **state)
{
    (void)state;
    struct staging staging;
    bool seen[PLACES] = {false};
    assert_int_equal(staging_open(&staging, 5000, PLACES), STATUS_OK);
    assert_int_equal(staging.segment.bytes, PLACES * 2 * LAYOUT_PAGE_BYTES);
    for (uint32_t i = 0; i < PLACES; i++) {
        uint32_t place;
        uint64_t generation;
        assert_true(staging_lend(&staging, &place, &generation));
        assert_true(place < PLACES && !seen[place]);
        seen[place] = true;
        const char *at = staging_at(&staging, place);
        assert_ptr_equal(at, (const char *)staging.segment.base + place * 2 * LAYOUT_PAGE_BYTES);
    }
    uint32_t place = 77;
    uint64_t generation = 78;
    assert_false(staging_lend(&staging, &place, &generation));
    assert_int_equal(place, 77);
    assert_int_equal(generation, 78);
    staging_close(&staging);
}

static void an_old_generation_and_a_wild_place_are_not_lent(void **state)
{
    (void)state;
    struct staging staging;
    uint32_t place;
    uint32_t again;
    uint64_t first;
    uint64_t second;
    assert_int_equal(staging_open(&staging, 4096, PLACES), STATUS_OK);
    assert_true(staging_lend(&staging, &place, &first));
    assert_true(staging_is_lent(&staging, place, first));
    assert_false(staging_is_lent(&staging, place, first + 1));
    assert_false(staging_is_lent(&staging, PLACES, first));
    assert_false(staging_is_lent(&staging, UINT32_MAX, first));
    /* The generation that a free place has is no key to it. */
    assert_false(staging_is_lent(&staging, place ^ 1, staging.generation[place ^ 1]));
    staging_home(&staging, place);
    assert_false(staging_is_lent(&staging, place, first));
    assert_false(staging_is_lent(&staging, place, staging.generation[place]));
    assert_true(staging_lend(&staging, &again, &second));
    assert_int_equal(again, place);
    assert_int_not_equal(second, first);
    assert_false(staging_is_lent(&staging, place, first));
    assert_true(staging_is_lent(&staging, place, second));
    staging_close(&staging);
}

static void close_accepts_null_and_a_closed_one(void **state)
{
    (void)state;
    struct staging staging;
    assert_int_equal(staging_open(&staging, 4096, PLACES), STATUS_OK);
    staging_close(&staging);
    assert_int_equal(staging.segment.fd, -1);
    staging_close(&staging);
    staging_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_is_a_whole_number_of_pages),
        cmocka_unit_test(every_place_is_lent_once_and_lies_alone),
        cmocka_unit_test(an_old_generation_and_a_wild_place_are_not_lent),
        cmocka_unit_test(close_accepts_null_and_a_closed_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
