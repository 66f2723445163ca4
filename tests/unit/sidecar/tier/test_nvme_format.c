/* Pages on disk: a good one is taken, and every single flipped bit is seen. */
#include "sidecar/tier/nvme_format.h"

#include "shm/status.h"

#include "tests/check.h"

#include <string.h>

static const struct nvme_format_home home = {
    .uuid = {1, 2, 3}, .region_bytes = 16u << 20, .generation = 77, .region = 5};

static void make(struct nvme_format_page *out_page, enum nvme_format_kind kind)
{
    nvme_format_begin(out_page, kind, &home);
    if (kind == NVME_FORMAT_INDEX || kind == NVME_FORMAT_FOOTER) {
        for (uint32_t i = 0; i < 3; i++) {
            struct record_header header = {.magic = RECORD_MAGIC, .stored_bytes = 5000};
            nvme_format_add(out_page, &header,
                (struct nvme_format_place){.page = 11 + 2 * i, .back = 1 + 2 * i});
        }
        out_page->next_page = 17;
    }
    nvme_format_finish(out_page);
}

static void test_every_kind_is_taken_at_home_alone(void **state)
{
    struct nvme_format_page page;
    (void)state;
    for (int kind = NVME_FORMAT_SUPER; kind <= NVME_FORMAT_END; kind++) {
        make(&page, (enum nvme_format_kind)kind);
        assert_int_equal(nvme_format_check(&page), STATUS_OK);
        assert_int_equal(
            nvme_format_check_home(&page, (enum nvme_format_kind)kind, &home), STATUS_OK);
        struct nvme_format_home other = home;
        other.generation--;
        assert_int_equal(
            nvme_format_check_home(&page, (enum nvme_format_kind)kind, &other), STATUS_MISS);
        other = home;
        other.region++;
        assert_int_equal(
            nvme_format_check_home(&page, (enum nvme_format_kind)kind, &other), STATUS_MISS);
        other = home;
        other.uuid[15] ^= 1;
        assert_int_equal(
            nvme_format_check_home(&page, (enum nvme_format_kind)kind, &other), STATUS_MISS);
    }
}

static void test_every_flipped_bit_is_seen(void **state)
{
    struct nvme_format_page page;
    (void)state;
    make(&page, NVME_FORMAT_INDEX);
    for (uint32_t bit = 0; bit < 8 * sizeof page; bit += bit < 8 * 1024 ? 1 : 37) {
        ((uint8_t *)&page)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(nvme_format_check(&page) != STATUS_OK);
        ((uint8_t *)&page)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(nvme_format_check(&page), STATUS_OK);
    page.version++;
    assert_int_equal(nvme_format_check(&page), STATUS_VERSION);
}

/* Somebody who can compute the check may still not lead us out of the region. */
static void test_places_outside_the_region_are_refused(void **state)
{
    struct nvme_format_page good;
    struct nvme_format_page page;
    (void)state;
    make(&good, NVME_FORMAT_INDEX);
    for (uint32_t lie = 0; lie < 8; lie++) {
        page = good;
        switch (lie) {
        case 0:
            page.count = NVME_FORMAT_RECORDS + 1;
            break;
        case 1:
            page.count = 0;
            break;
        case 2:
            page.place[1].page = UINT32_MAX;
            break;
        case 3:
            page.place[1].page = 4095; /* the last page, and one more */
            break;
        case 4:
            page.place[2].back = page.place[2].page;
            break;
        case 5:
            page.record[0].stored_bytes = UINT64_MAX;
            break;
        case 6:
            page.record[0].stored_bytes = 0;
            break;
        default:
            page.next_page = 4097;
            break;
        }
        nvme_format_finish(&page);
        assert_int_equal(nvme_format_check_home(&page, NVME_FORMAT_INDEX, &home), STATUS_MALFORMED);
    }
    make(&page, NVME_FORMAT_END);
    page.sequence = 1; /* a footer for no record */
    nvme_format_finish(&page);
    assert_int_equal(nvme_format_check_home(&page, NVME_FORMAT_END, &home), STATUS_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_taken_at_home_alone),
        cmocka_unit_test(test_every_flipped_bit_is_seen),
        cmocka_unit_test(test_places_outside_the_region_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
