/* test_file_read: a block comes from its file in one go or first parts first, or is refused. */
#include "sidecar/tier/file_read.h"

#include "shm/status.h"
#include "tests/unit/sidecar/tier/kv.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES 700001u
#define ROOM 704512u

struct world {
    struct record_rules rules;
    struct tier_wish wish;
    struct file_read read;
    struct file_read_done done;
    uint8_t *data;
};

/* A record in a file without a name, of one type, under these rules. */
static void open_world(struct world *world, enum codec codec, enum codec_type type)
{
    uint64_t random = check_seed();
    struct record_header header;
    const void *payload = NULL;
    double error = 0;
    *world = (struct world){.rules = {.codec = codec}, .data = kv_memory(ROOM)};
    void *scratch = kv_memory(record_scratch_bytes(&world->rules, ROOM));
    kv_fill(&random, type, world->data, BYTES);
    struct tier_block block = {
        .id.key.word = {3}, .shape = {type, 0}, .data = world->data, .bytes = BYTES};
    assert_int_equal(
        record_encode(&world->rules, &block, scratch, &header, &payload, &error), STATUS_OK);
    assert_int_equal(header.codec, codec);
    world->wish = (struct tier_wish){
        .id = block.id, .out_data = kv_memory(ROOM), .room = ROOM, .deadline_ns = UINT64_MAX};
    world->read = (struct file_read){.rules = &world->rules,
        .wish = &world->wish,
        .raw_bytes = BYTES,
        .descriptor = memfd_create("record", MFD_CLOEXEC),
        .payload = kv_memory(ROOM),
        .scratch = scratch};
    assert_int_equal(write(world->read.descriptor, &header, sizeof header), sizeof header);
    assert_int_equal(
        write(world->read.descriptor, payload, header.stored_bytes), header.stored_bytes);
}

static void close_world(struct world *world)
{
    (void)close(world->read.descriptor);
    free(world->data);
    free(world->wish.out_data);
    free(world->read.payload);
    free(world->read.scratch);
}

static void read_all(struct world *world)
{
    memset(world->wish.out_data, 0, ROOM);
    assert_int_equal(file_read(&world->read, &world->done), STATUS_OK);
    assert_memory_equal(world->wish.out_data, world->data, BYTES);
    assert_int_equal(world->done.error, 0);
}

static void test_first_parts_are_whole_parts(void **state)
{
    (void)state;
    struct world world;
    uint64_t step = record_part_bytes(BYTES);
    open_world(&world, CODEC_RAW, CODEC_OPAQUE);
    const struct {
        uint64_t wanted;
        uint64_t part;
    } rows[] = {{0, 0}, {1, step}, {step, step}, {step + 1, 2 * step}, {BYTES - 1, 0}, {BYTES, 0},
        {UINT64_MAX, 0}};
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        world.wish.part_bytes = rows[i].wanted;
        read_all(&world);
        assert_int_equal(world.done.part_bytes, rows[i].part);
        assert_int_equal(world.done.read_bytes, BYTES + RECORD_HEADER_BYTES);
    }
    close_world(&world);
}

static void test_coded_blocks_come_at_once(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, CODEC_ZSTD, CODEC_BFLOAT16);
    world.wish.part_bytes = 1;
    read_all(&world);
    assert_int_equal(world.done.part_bytes, 0);
    assert_true(world.done.read_bytes < BYTES);
    close_world(&world);
}

static void test_what_is_not_this_block_is_refused(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, CODEC_RAW, CODEC_OPAQUE);
    world.read.raw_bytes--; /* the index speaks of another one */
    assert_int_equal(file_read(&world.read, &world.done), STATUS_MALFORMED);
    world.read.raw_bytes++;
    world.wish.id.key.word[0]++;
    assert_int_equal(file_read(&world.read, &world.done), STATUS_MISS);
    world.wish.id.key.word[0]--;
    assert_int_equal(ftruncate(world.read.descriptor, BYTES), 0);
    assert_int_equal(file_read(&world.read, &world.done), STATUS_MALFORMED);
    assert_int_equal(ftruncate(world.read.descriptor, 100), 0);
    assert_int_equal(file_read(&world.read, &world.done), STATUS_MALFORMED);
    assert_int_equal(world.done.read_bytes, 0);
    int file = world.read.descriptor;
    world.read.descriptor = -1; /* the kernel refuses */
    assert_int_equal(file_read(&world.read, &world.done), STATUS_IO);
    assert_true(world.done.error > 0);
    world.read.descriptor = file;
    close_world(&world);
}

/* Damage behind the first parts: they are right, and said to be, the block is not. Damage in them:
 * nobody is told that they are there. */
static void test_damage_and_the_first_parts(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, CODEC_RAW, CODEC_OPAQUE);
    world.wish.part_bytes = 1;
    assert_int_equal(pwrite(world.read.descriptor, "\1\2\3\4", 4, BYTES - 4), 4);
    assert_int_equal(file_read(&world.read, &world.done), STATUS_MALFORMED);
    assert_int_equal(world.done.part_bytes, record_part_bytes(BYTES));
    assert_memory_equal(world.wish.out_data, world.data, world.done.part_bytes);
    assert_int_equal(pwrite(world.read.descriptor, "\1\2\3\4", 4, RECORD_HEADER_BYTES + 9), 4);
    assert_int_equal(file_read(&world.read, &world.done), STATUS_MALFORMED);
    assert_int_equal(world.done.part_bytes, 0);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_parts_are_whole_parts),
        cmocka_unit_test(test_coded_blocks_come_at_once),
        cmocka_unit_test(test_what_is_not_this_block_is_refused),
        cmocka_unit_test(test_damage_and_the_first_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
