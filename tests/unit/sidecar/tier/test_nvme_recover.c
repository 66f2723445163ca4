/* What an earlier life left: after a clean stop, a kill, and with damage of every kind. Never a
 * wrong byte; a doubt is a miss. */
#include "shm/status.h"
#include "sidecar/moment.h"
#include "sidecar/tier/nvme_format.h"

#include "tests/unit/sidecar/tier/nvme_world.h"

#include <signal.h>
#include <sys/wait.h>

#define BLOCK 65536u
#define REGION (16 * WORLD_MIB)
#define REGIONS 5u

/* Store blocks `first` to `first + count - 1`, many at a time; all must be taken. */
static void store_many(struct nvme_world *world, uint64_t first, uint32_t count)
{
    uint32_t before = world->done;
    for (uint32_t sent = 0; sent < count;) {
        while (sent < count && before + sent - world->done < 32) {
            assert_int_equal(
                nvme_world_store(world, first + sent, BLOCK, sent % WORLD_BUFFERS), STATUS_PENDING);
            sent++;
        }
        nvme_world_wait(world, before + (sent < 32 ? sent : sent - 16));
    }
    nvme_world_wait(world, before + count);
}

/* How many are there? Those are right, byte for byte. */
static uint32_t count_right(struct nvme_world *world, uint64_t first, uint32_t count)
{
    uint32_t right = 0;
    for (uint32_t i = 0; i < count; i++) {
        int status = nvme_world_get(world, first + i, BLOCK);
        assert_true(status == STATUS_OK || status == STATUS_MISS);
        right += status == STATUS_OK;
    }
    return right;
}

static void test_a_clean_stop_keeps_everything(void **state)
{
    struct nvme_world world;
    (void)state;
    nvme_world_open(&world);
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    store_many(&world, 0, 300); /* a region and a part of the next */
    nvme_world_stop(&world);
    for (uint32_t life = 0; life < 3; life++) {
        assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
        nvme_world_wait_found(&world, 300);
        assert_int_equal(world.found, 300);
        assert_int_equal(nvme_world_health(&world).blocks, 300);
        assert_int_equal(count_right(&world, 0, 300), 300);
        assert_int_equal(nvme_world_put(&world, 7, BLOCK), STATUS_OK); /* not stored twice */
        assert_int_equal(nvme_world_health(&world).stores, 0);
        nvme_world_stop(&world);
    }
    nvme_world_close(&world);
}

static void test_a_new_life_goes_on_writing(void **state)
{
    struct nvme_world world;
    (void)state;
    nvme_world_open(&world);
    for (uint32_t life = 0; life < 6; life++) { /* each seals what it opened: the file turns over */
        assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
        store_many(&world, life * 1000, 150);
        assert_int_equal(count_right(&world, life * 1000, 150), 150);
        nvme_world_stop(&world);
    }
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    nvme_world_wait_found(&world, 150);
    assert_int_equal(count_right(&world, 5000, 150), 150);
    assert_int_equal(nvme_world_health(&world).corrupt, 0);
    nvme_world_close(&world);
}

/* A child stores as fast as it can and says what was acknowledged; then it is killed. */
static void store_until_killed(struct nvme_world *world, int say)
{
    if (nvme_world_start(world, NULL) != STATUS_OK) {
        _exit(1);
    }
    for (uint64_t sent = 0; sent < 100000; sent += 16) {
        store_many(world, 10000 + sent, 16);
        uint32_t acknowledged = (uint32_t)sent + 16;
        if (write(say, &acknowledged, sizeof acknowledged) != (ssize_t)sizeof acknowledged) {
            _exit(1);
        }
    }
    _exit(0);
}

static void test_a_kill_loses_nothing_acknowledged_and_no_byte_is_wrong(void **state)
{
    struct nvme_world world;
    uint64_t seed = check_seed();
    (void)state;
    nvme_world_open(&world);
    for (uint32_t round = 0; round < 4; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        uint32_t wanted = 32 + (uint32_t)(check_random(&seed) % 500);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            store_until_killed(&world, ends[1]);
        }
        (void)close(ends[1]);
        uint32_t acknowledged = 0;
        while (acknowledged < wanted) {
            assert_int_equal(
                read(ends[0], &acknowledged, sizeof acknowledged), (ssize_t)sizeof acknowledged);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        (void)close(ends[0]);
        assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
        nvme_world_wait_found(&world, acknowledged);
        assert_int_equal(count_right(&world, 10000, acknowledged), acknowledged);
        assert_int_equal(nvme_world_health(&world).corrupt, 0);
        for (uint64_t i = 0; i < 100000 && world.tier != NULL;
             i++) { /* the next child begins anew */
            struct tier_id id = nvme_world_id(10000 + i);
            tier_drop(world.tier, &id);
        }
        nvme_world_stop(&world);
        folder_empty(&world.folder);
    }
    nvme_world_close(&world);
}

static void test_the_newest_of_two_wins(void **state)
{
    struct nvme_world world;
    (void)state;
    nvme_world_open(&world);
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    struct tier_id id = nvme_world_id(1);
    for (uint64_t version = 100; version < 103; version++) {
        struct tier_block block = {.id = id, .data = nvme_world_buffer(&world, 0), .bytes = BLOCK};
        nvme_world_fill(version, nvme_world_buffer(&world, 0), BLOCK);
        tier_drop(world.tier, &id);
        assert_int_equal(tier_store(world.tier, &block, version), STATUS_PENDING);
        nvme_world_wait(&world, world.done + 1);
        if (version == 101) { /* in another region */
            nvme_world_stop(&world);
            assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
            nvme_world_wait_found(&world, 1);
        }
    }
    nvme_world_stop(&world);
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    nvme_world_wait_found(&world, 1);
    assert_int_equal(world.found, 1);
    assert_int_equal(nvme_world_load(&world, 1, 1), STATUS_PENDING);
    nvme_world_wait(&world, 1);
    assert_int_equal(world.last.status, STATUS_OK);
    assert_true(nvme_world_is(102, nvme_world_buffer(&world, 1), BLOCK));
    nvme_world_close(&world);
}

static void test_another_key_finds_nothing_and_says_so(void **state)
{
    char path[256];
    char key[65];
    struct nvme_world world;
    (void)state;
    nvme_world_open(&world);
    folder_file(&world.folder, "key", path);
    world.options.key_file = path;
    for (uint32_t life = 0; life < 3; life++) { /* with a key; with another one; with none */
        memset(key, life == 0 ? 'a' : 'b', 64);
        folder_write(&world.folder, "key", key, 64, 0400);
        if (life == 2) {
            world.options.key_file = NULL;
        }
        assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
        nvme_world_wait_found(&world, 0);
        assert_int_equal(world.found, 0);
        assert_int_equal(count_right(&world, 0, 10), 0);
        if (life == 0) {
            store_many(&world, 0, 10);
            assert_int_equal(count_right(&world, 0, 10), 10);
        }
        nvme_world_stop(&world);
        assert_int_equal(nvme_world_said(&world, "another key"), life > 0);
        (void)unlink(path);
    }
    nvme_world_close(&world);
}

/* Flip one bit somewhere in the first `pages` of a region, or in its last ones. */
static void flip(const struct nvme_world *world, uint64_t *seed, bool payload)
{
    int file = nvme_world_file(world);
    uint64_t random = check_random(seed);
    uint64_t region = random >> 8 & 1;
    uint64_t page = payload             ? random >> 16 & 4095
                    : (random & 1) != 0 ? (random >> 16) % 32 * 121 + 1 /* INDEX, some */
                                        : 4095 - (random >> 16) % 20; /* FOOTER, END */
    if (!payload && random >> 40 % 16 == 0) {
        page = 0;
    }
    uint64_t at = NVME_FORMAT_FIRST + region * REGION + page * NVME_FORMAT_PAGE +
                  (check_random(seed) % NVME_FORMAT_PAGE);
    uint8_t byte;
    assert_int_equal(pread(file, &byte, 1, (off_t)at), 1);
    byte = (uint8_t)(byte ^ 1u << (check_random(seed) & 7));
    assert_int_equal(pwrite(file, &byte, 1, (off_t)at), 1);
    (void)fdatasync(file);
    (void)close(file);
}

static void test_flipped_bits_are_misses(void **state)
{
    struct nvme_world world;
    uint64_t seed = check_seed();
    (void)state;
    nvme_world_open(&world);
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    store_many(&world, 0, 400);
    nvme_world_stop(&world);
    uint32_t least = 400;
    for (uint32_t round = 0; round < 40; round++) {
        flip(&world, &seed, round % 2 == 0);
        assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
        nvme_world_wait_found(&world, 0);
        uint32_t right = count_right(&world, 0, 400);
        assert_true(right <= least + 0u || round > 0); /* none comes back wrong: count_right() */
        least = right < least ? right : least;
        nvme_world_stop(&world);
    }
    assert_true(least < 400); /* some flips were seen */
    nvme_world_close(&world);
}

static const uint32_t pages[] = {0, 1, 4095, 4094}; /* REGION, INDEX, END, FOOTER */

static off_t page_at(uint64_t region, uint32_t page)
{
    return (off_t)(NVME_FORMAT_FIRST + region * REGION + page * (uint64_t)NVME_FORMAT_PAGE);
}

/* The region that has all kinds of pages. Two are opened ahead, and blocks go to the one whose page
 * the disk has written first. */
static uint64_t find_sealed(int file)
{
    for (uint64_t region = 0; region < REGIONS; region++) {
        uint32_t whole = 0;
        for (uint32_t i = 0; i < CHECK_COUNT(pages); i++) {
            struct nvme_format_page page = {.magic = 0};
            ssize_t got = pread(file, &page, sizeof page, page_at(region, pages[i]));
            whole += got == (ssize_t)sizeof page && page.magic == NVME_FORMAT_MAGIC;
        }
        if (whole == CHECK_COUNT(pages)) {
            return region;
        }
    }
    fail_msg("no region was sealed");
    return 0;
}

/* Each byte of each kind of page: whatever it says, nothing wrong is served. */
static void test_each_field_of_each_page_may_lie(void **state)
{
    struct nvme_world world;
    (void)state;
    nvme_world_open(&world);
    assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
    store_many(&world, 0, 60);
    nvme_world_stop(&world);
    int file = nvme_world_file(&world);
    uint64_t region = find_sealed(file);
    for (uint32_t i = 0; i < CHECK_COUNT(pages); i++) {
        off_t at = page_at(region, pages[i]);
        struct nvme_format_page good;
        assert_int_equal(pread(file, &good, sizeof good, at), sizeof good);
        assert_int_equal(good.magic, NVME_FORMAT_MAGIC);
        for (uint32_t byte = 0; byte < 512; byte += 7) {
            struct nvme_format_page bad = good;
            ((uint8_t *)&bad)[byte] ^= 0x41;
            if (byte % 2 == 0) {
                nvme_format_finish(&bad); /* a liar that knows the check */
            }
            assert_int_equal(pwrite(file, &bad, sizeof bad, at), sizeof bad);
            (void)fdatasync(file);
            assert_int_equal(nvme_world_start(&world, NULL), STATUS_OK);
            nvme_world_wait_found(&world, 0);
            for (uint64_t number = 0; number < 60; number += 7) {
                int status = nvme_world_get(&world, number, BLOCK);
                assert_true(status == STATUS_OK || status == STATUS_MISS);
            }
            nvme_world_stop(&world);
        }
        assert_int_equal(pwrite(file, &good, sizeof good, at), sizeof good);
    }
    (void)close(file);
    nvme_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_clean_stop_keeps_everything),
        cmocka_unit_test(test_a_new_life_goes_on_writing),
        cmocka_unit_test(test_a_kill_loses_nothing_acknowledged_and_no_byte_is_wrong),
        cmocka_unit_test(test_the_newest_of_two_wins),
        cmocka_unit_test(test_another_key_finds_nothing_and_says_so),
        cmocka_unit_test(test_flipped_bits_are_misses),
        cmocka_unit_test(test_each_field_of_each_page_may_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
