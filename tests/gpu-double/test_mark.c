/* mark: nobody sees a mark before the stream's work, by any of the three ways. */
#include "tests/check.h"
#include "tests/gpu-double/bed.h"

#include "cuda/copy.h"
#include "cuda/mark.h"
#include "shm/status.h"

#include <string.h>
#include <sys/mman.h>

#define ROUNDS 40u
#define BYTES 4096u

struct wish {
    const char *switches;
    enum mark_way way; /* asked for */
    enum mark_way got;
};

static struct mark_page *new_page(struct child_page *page)
{
    struct mark_page *words =
        mmap(NULL, MARK_WORD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    child_need(page, words != MAP_FAILED, "no memory");
    return words;
}

static void pass(struct bed *bed, const struct marks *marks, const struct mark *mark)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    int status = mark_passed(marks, mark);
    while (status == STATUS_PENDING && child_now_ns() < deadline) {
        child_nap();
        status = mark_passed(marks, mark);
    }
    child_need(bed->page, status == STATUS_OK, "never passed: %d", status);
}

/* Copies of several streams, each with its mark: what is marked as passed is there. */
static int follow(void *context, struct child_page *page)
{
    const struct wish *wish = context;
    struct bed bed;
    struct marks marks;
    struct copy_stream stream[2];
    struct mark mark[2];
    static uint8_t host[2][BYTES];
    struct mark_page *words = new_page(page);
    bed_open(&bed, page, wish->switches, "auto");
    struct slab_pool pool;
    int status = slab_make(&bed.gpu, SLAB_VMM, 1, BED_SLAB_BYTES, &pool, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_OK, "%s", bed.why);
    status = mark_open(&bed.gpu, wish->way, words, &marks, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_OK && marks.way == wish->got, "%d: %s", status, bed.why);
    child_need(page, strstr(bed.why, mark_way_name(wish->got)) != NULL, "\"%s\"", bed.why);
    for (uint32_t i = 0; i < 2; i++) {
        child_need(page, copy_open(&bed.gpu, &stream[i]) == STATUS_OK, "no stream");
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < 2; i++) {
            uint64_t at = slab_address(&pool, i * BYTES);
            struct copy up = {.to = (uintptr_t)host[i], .from = at, .bytes = BYTES};
            (void)bed.driver.cuMemsetD8Async(at, (uint8_t)(round + i), BYTES, stream[i].stream);
            (void)copy_start(&bed.gpu, stream[i].stream, &up, 1);
            status = mark_take(&marks, stream[i].stream, &mark[i]);
            child_need(page, status == STATUS_OK, "take: %d", status);
        }
        for (uint32_t i = 0; i < 2; i++) {
            pass(&bed, &marks, &mark[i]);
            for (uint32_t byte = 0; byte < BYTES; byte++) {
                child_need(
                    page, host[i][byte] == (uint8_t)(round + i), "round %u: too early", round);
            }
            mark_drop(&marks, &mark[i]);
        }
    }
    copy_close(&stream[0]);
    copy_close(&stream[1]);
    mark_close(&marks);
    mark_close(&marks);
    slab_close(&pool);
    bed_close(&bed);
    return 0;
}

static void test_what_is_passed_is_there(void **state)
{
    (void)state;
    static struct wish wishes[] = {
        {"delay_us=300", MARK_AUTO, MARK_TIMELINE},
        {"delay_us=300", MARK_CALL, MARK_CALL},
        {"delay_us=300", MARK_EVENT, MARK_EVENT},
        {"delay_us=300,no_timeline=1", MARK_AUTO, MARK_CALL},
        {"delay_us=300,no_host_register=1", MARK_AUTO, MARK_CALL},
        {"delay_us=300,no_timeline=1,fail=cuLaunchHostFunc:0:801", MARK_AUTO, MARK_EVENT},
        {"delay_us=300,attribute=122:0", MARK_AUTO, MARK_CALL},
    };
    size_t count = bed_is_double() ? CHECK_COUNT(wishes) : 3; /* the others need its switches */
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(child_run(follow, &wishes[i]), 0);
    }
}

static int take_all(void *context, struct child_page *page)
{
    const struct wish *wish = context;
    struct bed bed;
    struct marks marks;
    struct copy_stream stream;
    struct mark mark[MARK_SLOTS];
    struct mark more;
    struct mark_page *words = new_page(page);
    bed_open(&bed, page, wish->switches, "auto");
    int status = mark_open(&bed.gpu, wish->way, words, &marks, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_OK, "%s", bed.why);
    child_need(page, copy_open(&bed.gpu, &stream) == STATUS_OK, "no stream");
    for (uint32_t i = 0; i < MARK_SLOTS; i++) {
        status = mark_take(&marks, stream.stream, &mark[i]);
        child_need(page, status == STATUS_OK, "mark %u: %d", i, status);
    }
    child_need(page, mark_take(&marks, stream.stream, &more) == STATUS_BUSY, "one too many");
    pass(&bed, &marks, &mark[MARK_SLOTS - 1]); /* the last of one stream: so did the others */
    for (uint32_t i = 0; i < MARK_SLOTS; i++) {
        child_need(page, mark_passed(&marks, &mark[i]) == STATUS_OK, "mark %u", i);
    }
    mark_drop(&marks, &mark[7]);
    child_need(page, mark_take(&marks, stream.stream, &more) == STATUS_OK, "none is free");
    child_need(page, more.slot == 7 && more.value > mark[7].value, "an old value");
    pass(&bed, &marks, &more);
    copy_close(&stream);
    mark_close(&marks);
    /* The next one goes on with the same page, as after an attach to another sidecar. */
    status = mark_open(&bed.gpu, wish->way, words, &marks, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_OK, "again: %s", bed.why);
    mark_close(&marks);
    bed_close(&bed);
    return 0;
}

static void test_marks_are_counted_and_come_back(void **state)
{
    (void)state;
    static struct wish wishes[] = {
        {"delay_us=100", MARK_TIMELINE, MARK_TIMELINE},
        {"delay_us=100", MARK_CALL, MARK_CALL},
        {"delay_us=100", MARK_EVENT, MARK_EVENT},
    };
    for (size_t i = 0; i < CHECK_COUNT(wishes); i++) {
        assert_int_equal(child_run(take_all, &wishes[i]), 0);
    }
}

/* What a way that fails means: a lost device ends the search, a refusal does not. */
static int lose(void *context, struct child_page *page)
{
    (void)context;
    struct bed bed;
    struct marks marks;
    bed_open(&bed, page, "", "auto");
    bed_fail(&bed, "cuStreamSynchronize", 1, DRIVER_ILLEGAL_ADDRESS);
    int status = mark_open(&bed.gpu, MARK_AUTO, new_page(page), &marks, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_DEVICE_LOST, "%d: %s", status, bed.why);
    child_need(page, strstr(bed.why, mark_way_name(MARK_CALL)) == NULL, "went on: %s", bed.why);
    return 0;
}

static int refuse(void *context, struct child_page *page)
{
    (void)context;
    struct bed bed;
    struct marks marks;
    bed_open(&bed, page, "", "auto");
    bed_fail(&bed, "cuStreamWriteValue64", 1, DRIVER_NOT_SUPPORTED);
    int status =
        mark_open(&bed.gpu, MARK_TIMELINE, new_page(page), &marks, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_UNSUPPORTED && marks.gpu == NULL, "%d: %s", status, bed.why);
    bed_close(&bed);
    return 0;
}

static void test_a_lost_device_ends_the_search_for_a_way(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(lose, NULL), 0);
}

static void test_the_way_that_was_asked_for_or_none(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(refuse, NULL), 0);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_passed_is_there),
        cmocka_unit_test(test_marks_are_counted_and_come_back),
        cmocka_unit_test(test_a_lost_device_ends_the_search_for_a_way),
        cmocka_unit_test(test_the_way_that_was_asked_for_or_none),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
