/* test_record: what was stored comes back under its own name alone; whatever was changed is
 * seen. */
#include "sidecar/tier/record.h"

#include "shm/status.h"
#include "tests/unit/sidecar/tier/kv.h"

#include <openssl/evp.h>
#include <string.h>
#include <xxhash.h>

static const uint64_t sizes[] = {1, 4095, 4096, 4097, 65535, 65536, 65537, 600000, 2 << 20};
static const enum codec codecs[] = {CODEC_RAW, CODEC_ZSTD, CODEC_FP16, CODEC_BF16, CODEC_INT8};
static const enum codec_type types[] = {
    CODEC_OPAQUE, CODEC_FLOAT32, CODEC_FLOAT16, CODEC_BFLOAT16, CODEC_FLOAT8};

static uint64_t seed;

/* A block, and where its record and what comes back lie. */
struct world {
    struct record_rules rules;
    struct tier_block block;
    struct record_header header;
    uint8_t *data;
    uint8_t *scratch;
    uint8_t *decode_scratch;
    uint8_t *payload; /* a copy, to be spoiled */
    uint8_t *back;
    uint64_t room;
    double error;
};

static struct seal make_seal(uint8_t byte)
{
    struct seal seal = {.cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL), .check = byte};
    memset(seal.key, byte, sizeof seal.key);
    return seal;
}

static void open_world(
    struct world *world, struct record_rules rules, struct codec_shape shape, uint64_t bytes)
{
    uint64_t random = seed;
    uint64_t scratch = record_scratch_bytes(&rules, bytes);
    *world = (struct world){.rules = rules,
        .data = kv_memory(bytes),
        .scratch = scratch == 0 ? NULL : kv_memory(scratch),
        .decode_scratch = scratch == 0 ? NULL : kv_memory(scratch),
        .payload = kv_memory(bytes),
        .back = kv_memory(bytes),
        .room = (bytes + KV_PAGE - 1) / KV_PAGE * KV_PAGE};
    assert_int_equal(scratch % KV_PAGE, 0);
    kv_fill(&random, shape.type, world->data, bytes);
    world->block = (struct tier_block){.shape = shape, .data = world->data, .bytes = bytes};
    world->block.id.key.word[0] = 17;
    memset(world->block.id.space, 's', sizeof world->block.id.space);
    const void *payload = NULL;
    assert_int_equal(record_encode(&rules, &world->block, world->scratch, &world->header, &payload,
                         &world->error),
        STATUS_OK);
    assert_true(world->header.stored_bytes <= bytes);
    assert_true(payload == world->data || payload == world->scratch);
    memcpy(world->payload, payload, world->header.stored_bytes);
    if (payload == world->scratch) { /* what goes to the disk behind it is nothing of ours */
        uint64_t end = (world->header.stored_bytes + KV_PAGE - 1) / KV_PAGE * KV_PAGE;
        for (uint64_t i = world->header.stored_bytes; i < end; i++) {
            assert_int_equal(world->scratch[i], 0);
        }
    }
}

static void close_world(struct world *world)
{
    free(world->data);
    free(world->scratch);
    free(world->decode_scratch);
    free(world->payload);
    free(world->back);
}

static int check(const struct world *world, struct record_header *out_header)
{
    return record_check(&world->header, &world->block.id, out_header);
}

static int decode(const struct world *world, const struct record_header *header)
{
    return record_decode(
        &world->rules, header, world->payload, world->decode_scratch, world->back, world->room);
}

static void round_trip(struct record_rules rules, struct codec_shape shape, uint64_t bytes)
{
    struct world world;
    struct record_header header;
    open_world(&world, rules, shape, bytes);
    assert_int_equal(check(&world, &header), STATUS_OK);
    assert_memory_equal(&header, &world.header, sizeof header);
    assert_int_equal(header.raw_bytes, bytes);
    assert_int_equal(decode(&world, &header), STATUS_OK);
    if (header.codec == CODEC_RAW || header.codec == CODEC_ZSTD) {
        assert_memory_equal(world.back, world.data, bytes);
        assert_true(world.error == 0);
    } else {
        assert_true(world.error > 0);
    }
    if (header.codec == CODEC_RAW && rules.seal == NULL) { /* in place */
        memcpy(world.back, world.payload, bytes);
        assert_int_equal(
            record_decode(&rules, &header, world.back, NULL, world.back, world.room), STATUS_OK);
        assert_memory_equal(world.back, world.data, bytes);
    }
    /* From a catalog: the named fields, root, nonce and which key. */
    header.check = 0;
    memset(header.parts, 0, sizeof header.parts);
    memset(world.back, 1, bytes);
    assert_int_equal(decode(&world, &header), STATUS_OK);
    close_world(&world);
}

static void test_every_codec_type_and_size_comes_back(void **state)
{
    (void)state;
    struct seal seal = make_seal(1);
    for (size_t i = 0; i < CHECK_COUNT(codecs) * CHECK_COUNT(types); i++) {
        struct codec_shape shape = {types[i / CHECK_COUNT(codecs)], 128};
        for (size_t s = 0; s < CHECK_COUNT(sizes); s++) {
            enum codec codec = codecs[i % CHECK_COUNT(codecs)];
            round_trip((struct record_rules){codec, NULL}, shape, sizes[s]);
            round_trip((struct record_rules){codec, &seal}, shape, sizes[s]);
        }
    }
    seal_close(&seal);
}

static void test_no_flipped_bit_of_a_header_is_believed(void **state)
{
    (void)state;
    struct seal seal = make_seal(1);
    for (int sealed = 0; sealed < 2; sealed++) {
        struct world world;
        struct record_header header;
        open_world(&world, (struct record_rules){CODEC_RAW, sealed ? &seal : NULL},
            (struct codec_shape){CODEC_BFLOAT16, 128}, 200000);
        for (size_t bit = 0; bit < 8 * sizeof world.header; bit++) {
            uint8_t *byte = (uint8_t *)&world.header + bit / 8;
            *byte ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(check(&world, &header), STATUS_MALFORMED);
            *byte ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(check(&world, &header), STATUS_OK);
        close_world(&world);
    }
    seal_close(&seal);
}

/* Whoever flips a bit may make the check right again: the root, or the tag, still says no. */
static void test_no_forged_header_proves_a_payload(void **state)
{
    (void)state;
    struct seal seal = make_seal(1);
    for (int sealed = 0; sealed < 2; sealed++) {
        struct world world;
        struct record_header header;
        open_world(&world, (struct record_rules){CODEC_ZSTD, sealed ? &seal : NULL},
            (struct codec_shape){CODEC_BFLOAT16, 128}, 200000);
        for (size_t bit = 0; bit < 8 * offsetof(struct record_header, check); bit++) {
            uint8_t *byte = (uint8_t *)&world.header + bit / 8;
            *byte ^= (uint8_t)(1u << bit % 8);
            world.header.check = XXH3_64bits(&world.header, offsetof(struct record_header, check));
            bool believed = record_check(&world.header, NULL, &header) == STATUS_OK &&
                            decode(&world, &header) == STATUS_OK;
            /* A part's own checksum is only for whoever reads the first parts. */
            bool part = !sealed && bit / 8 >= offsetof(struct record_header, parts) &&
                        bit / 8 < offsetof(struct record_header, zero);
            assert_int_equal(believed, part);
            *byte ^= (uint8_t)(1u << bit % 8);
        }
        close_world(&world);
    }
    seal_close(&seal);
}

static void flip_payload(struct world *world, uint64_t bit)
{
    struct record_header header;
    assert_int_equal(check(world, &header), STATUS_OK);
    world->payload[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_int_equal(decode(world, &header), STATUS_MALFORMED);
    world->payload[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void test_no_flipped_bit_of_a_payload_is_believed(void **state)
{
    (void)state;
    uint64_t random = seed;
    struct seal seal = make_seal(1);
    for (size_t i = 0; i < 2 * CHECK_COUNT(codecs); i++) {
        struct record_rules rules = {codecs[i / 2], i % 2 == 0 ? NULL : &seal};
        struct codec_shape shape = {CODEC_FLOAT32, 128};
        struct world world;
        open_world(&world, rules, shape, 1024);
        for (uint64_t bit = 0; bit < 8 * world.header.stored_bytes; bit++) {
            flip_payload(&world, bit);
        }
        close_world(&world);
        open_world(&world, rules, shape, 2 << 20);
        flip_payload(&world, 0);
        flip_payload(&world, 8 * world.header.stored_bytes - 1);
        for (int j = 0; j < 20; j++) {
            flip_payload(&world, check_random(&random) % (8 * world.header.stored_bytes));
        }
        close_world(&world);
    }
    seal_close(&seal);
}

static void test_names_versions_and_keys_are_told_apart(void **state)
{
    (void)state;
    struct seal seal = make_seal(1);
    struct seal another = make_seal(2);
    struct world world;
    struct record_header header;
    open_world(&world, (struct record_rules){CODEC_RAW, NULL},
        (struct codec_shape){CODEC_OPAQUE, 0}, 5000);
    struct tier_id id = world.block.id;
    id.space[31] ^= 1;
    assert_int_equal(record_check(&world.header, &id, &header), STATUS_MISS);
    id = world.block.id;
    id.key.word[3] ^= 1;
    assert_int_equal(record_check(&world.header, &id, &header), STATUS_MISS);
    assert_int_equal(record_check(&world.header, NULL, &header), STATUS_OK);
    world.header.version = 2;
    world.header.check = XXH3_64bits(&world.header, offsetof(struct record_header, check));
    assert_int_equal(check(&world, &header), STATUS_VERSION);
    world.rules.seal = &seal; /* a record in the clear, where everything should be sealed */
    assert_int_equal(decode(&world, &header), STATUS_DENIED);
    close_world(&world);

    open_world(&world, (struct record_rules){CODEC_ZSTD, &seal},
        (struct codec_shape){CODEC_BFLOAT16, 0}, 5000);
    assert_int_equal(check(&world, &header), STATUS_OK);
    world.rules.seal = &another;
    assert_int_equal(decode(&world, &header), STATUS_DENIED);
    world.rules.seal = NULL;
    assert_int_equal(decode(&world, &header), STATUS_DENIED);
    another.check = seal.check; /* another key that claims to be the same */
    world.rules.seal = &another;
    assert_int_equal(decode(&world, &header), STATUS_MALFORMED);
    world.rules.seal = &seal;
    world.room = 4096;
    assert_int_equal(decode(&world, &header), STATUS_TOO_LARGE);
    close_world(&world);
    seal_close(&another);
    seal_close(&seal);
}

/* Somebody else's bytes may have a right check, and sizes that agree with nothing. */
static void test_headers_that_make_no_sense(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint64_t value;
        size_t bytes;
    } lies[] = {
        {offsetof(struct record_header, codec), 5, 1},
        {offsetof(struct record_header, codec), CODEC_ZSTD, 1}, /* as large as the block */
        {offsetof(struct record_header, type), 5, 1}, {offsetof(struct record_header, flags), 2, 4},
        {offsetof(struct record_header, raw_bytes), 0, 8},
        {offsetof(struct record_header, raw_bytes), UINT64_MAX, 8},
        {offsetof(struct record_header, raw_bytes), 4999, 8},
        {offsetof(struct record_header, stored_bytes), 0, 8},
        {offsetof(struct record_header, stored_bytes), 5001, 8},
        {offsetof(struct record_header, nonce), 1, 4},
        {offsetof(struct record_header, key_check), 1, 4},
        {offsetof(struct record_header, zero), 1, 8},
        {offsetof(struct record_header, flags), RECORD_SEALED, 4}, /* but with parts */
    };
    struct world world;
    struct record_header header;
    open_world(&world, (struct record_rules){CODEC_RAW, NULL},
        (struct codec_shape){CODEC_OPAQUE, 0}, 5000);
    struct record_header good = world.header;
    for (size_t i = 0; i < CHECK_COUNT(lies); i++) {
        world.header = good;
        memcpy((uint8_t *)&world.header + lies[i].offset, &lies[i].value, lies[i].bytes);
        world.header.check = XXH3_64bits(&world.header, offsetof(struct record_header, check));
        assert_int_equal(check(&world, &header), STATUS_MALFORMED);
    }
    close_world(&world);
}

static void test_first_parts_are_verified_alone(void **state)
{
    (void)state;
    uint64_t random = seed;
    for (size_t s = 0; s < CHECK_COUNT(sizes); s++) {
        struct world world;
        struct record_header header;
        open_world(&world, (struct record_rules){CODEC_RAW, NULL},
            (struct codec_shape){CODEC_OPAQUE, 0}, sizes[s]);
        uint64_t step = record_part_bytes(sizes[s]);
        assert_true(step % 4096 == 0 && step >= RECORD_PART_BYTES_LEAST);
        assert_true(step * RECORD_PARTS >= sizes[s]);
        assert_int_equal(check(&world, &header), STATUS_OK);
        for (uint64_t wanted = 1; wanted <= sizes[s] + step; wanted += step / 2 + 1) {
            uint64_t covered = (wanted + step - 1) / step * step;
            covered = covered < sizes[s] ? covered : sizes[s];
            assert_int_equal(record_verify_first(&header, world.payload, wanted), STATUS_OK);
            uint64_t bit = check_random(&random) % (8 * covered);
            world.payload[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(record_verify_first(&header, world.payload, wanted), STATUS_MALFORMED);
            world.payload[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (covered < sizes[s]) { /* what comes later is not looked at */
                world.payload[covered] ^= 1;
                assert_int_equal(record_verify_first(&header, world.payload, wanted), STATUS_OK);
                world.payload[covered] ^= 1;
            }
        }
        header.codec = CODEC_ZSTD;
        assert_int_equal(record_verify_first(&header, world.payload, 1), STATUS_UNSUPPORTED);
        header.codec = CODEC_RAW;
        header.flags = RECORD_SEALED;
        assert_int_equal(record_verify_first(&header, world.payload, 1), STATUS_UNSUPPORTED);
        close_world(&world);
    }
    assert_true(record_part_bytes(UINT32_MAX) * RECORD_PARTS >= UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_codec_type_and_size_comes_back),
        cmocka_unit_test(test_no_flipped_bit_of_a_header_is_believed),
        cmocka_unit_test(test_no_forged_header_proves_a_payload),
        cmocka_unit_test(test_no_flipped_bit_of_a_payload_is_believed),
        cmocka_unit_test(test_names_versions_and_keys_are_told_apart),
        cmocka_unit_test(test_headers_that_make_no_sense),
        cmocka_unit_test(test_first_parts_are_verified_alone),
    };
    seed = check_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
