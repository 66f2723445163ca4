/* The pin race with the same segments mapped at two addresses, as two processes map them: the index
 * read-only for readers, the lanes read-only for the server. A stray store or pointer crashes. */
#include "tests/stress/race.h"

#include "shm/segment.h"
#include "shm/status.h"
#include "tests/check.h"

#define PAGE 4096u

static uint64_t in_pages(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

/* Make a segment, and map it a second time read-only. */
static void make_twice(
    const char *name, uint64_t bytes, struct segment *out_writable, struct segment *out_readable)
{
    assert_int_equal(segment_make(name, bytes, false, out_writable), STATUS_OK);
    int fd = segment_open_readonly(out_writable);
    assert_true(fd >= 0);
    assert_int_equal(segment_map(fd, bytes, false, out_readable), STATUS_OK);
    assert_ptr_not_equal(out_writable->base, out_readable->base);
}

static void a_validated_block_never_changes_across_mappings(void **state)
{
    (void)state;
    struct segment index_written, index_read, lanes_written, lanes_read;
    make_twice("race-index", in_pages(sizeof(struct race_index)), &index_written, &index_read);
    make_twice("race-lanes", in_pages(RACE_READERS * sizeof(struct race_lane)), &lanes_written,
        &lanes_read);
    struct race_side server = {.index = index_written.base, .lanes = lanes_read.base};
    struct race_side readers = {.index = index_read.base, .lanes = lanes_written.base};

    struct race_outcome outcome = race_run(&server, &readers, check_seed());

    assert_int_equal(outcome.wrong, 0);
    assert_int_equal(outcome.wild, 0);
    assert_true(outcome.hits > 0);
    assert_true(outcome.evictions > 0);
    segment_close(&index_written);
    segment_close(&index_read);
    segment_close(&lanes_written);
    segment_close(&lanes_read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_validated_block_never_changes_across_mappings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
