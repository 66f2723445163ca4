/* test_llama_hostile: blocks that another process of the same namespace made up are refused before
 * the engine sees them, and the answer is that of a worker alone.
 *
 * The workers have a limited address space: an engine that believed a count of cells would end. */
#include "tests/engines/scene.h"

#include "bench/engines/llama/block.h"
#include "bench/engines/llama/engine.h"
#include "bench/engines/llama/stitch.h"

#include <llama.h>
#include <string.h>
#include <sys/resource.h>

#define TOKENS 400u
#define BLOCKS (TOKENS / SCENE_BLOCK)
#define BAD 2u /* the block that is made up; those before it are good */
#define MEMORY_BYTES (UINT64_C(4) << 30)

struct intruder {
    struct engine_options options;
    struct engine engine;
    struct identity_texts texts;
    struct cistern_namespace space;
    cistern_t *handle;
    uint64_t bytes; /* of a block */
    uint8_t *blocks[BLOCKS];
    struct cistern_key keys[BLOCKS];
};

static void open_intruder(const struct scene *scene, struct intruder *intruder)
{
    struct identity identity;
    *intruder = (struct intruder){.options = {.model_path = scene->window_model,
                                      .context_tokens = 1536,
                                      .block_tokens = SCENE_BLOCK,
                                      .threads = 1}};
    assert_true(engine_open(&intruder->options, &intruder->engine));
    assert_true(engine_identify(&intruder->engine, &intruder->options, &identity));
    assert_true(identity_space(&identity, &intruder->texts, &intruder->space));
    struct cistern_options options = {
        .size = sizeof options, .space = &intruder->space, .socket_path = scene->daemon.socket};
    assert_int_equal(cistern_open(&options, &intruder->handle), CISTERN_OK);
    intruder->bytes = block_bytes(intruder->engine.shape, SCENE_BLOCK);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        intruder->blocks[i] = malloc(intruder->bytes);
        assert_non_null(intruder->blocks[i]);
    }
}

static void close_intruder(struct intruder *intruder)
{
    for (uint32_t i = 0; i < BLOCKS; i++) {
        free(intruder->blocks[i]);
    }
    cistern_close(&intruder->handle);
    engine_close(&intruder->engine);
}

/* Compute the blocks of a prompt, as a worker does. */
static void compute(struct intruder *intruder, uint64_t seed)
{
    static int32_t tokens[TOKENS];
    size_t count;
    uint64_t blob = intruder->bytes - sizeof(struct block_header);
    scene_prompt(seed, TOKENS, tokens);
    engine_forget(&intruder->engine);
    assert_true(engine_decode(&intruder->engine, tokens, 0, BLOCKS * SCENE_BLOCK));
    for (uint32_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(engine_export(&intruder->engine, i * SCENE_BLOCK, SCENE_BLOCK,
                             intruder->blocks[i] + sizeof(struct block_header), blob),
            blob);
        assert_null(
            block_seal(intruder->engine.shape, i * SCENE_BLOCK, SCENE_BLOCK, intruder->blocks[i]));
    }
    assert_int_equal(cistern_keys(intruder->handle, NULL, (const uint32_t *)tokens, TOKENS,
                         intruder->keys, &count),
        CISTERN_OK);
    assert_int_equal(count, BLOCKS);
}

static void plant(struct intruder *intruder, uint64_t bad_bytes)
{
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint64_t bytes = i == BAD ? bad_bytes : intruder->bytes;
        assert_int_equal(cistern_put(intruder->handle, &intruder->keys[i],
                             i == 0 ? NULL : &intruder->keys[i - 1], intruder->blocks[i], bytes),
            CISTERN_OK);
    }
    assert_int_equal(cistern_flush(intruder->handle, SCENE_WAIT_NS), CISTERN_OK);
}

struct damage {
    const char *name;
    uint32_t offset; /* in the blob; or, with `header`, in ours */
    uint32_t value;
    bool header;
};

/* The first cell's position lies at 16, its number of sequences at 20; see blob.h. */
static const struct damage damages[] = {
    {"no block at all", 0, 0, true},
    {"another magic", 0, 7, false},
    {"many streams", 8, 0x7fffffff, false},
    {"many cells", 12, 0x7fffffff, false},
    {"no cells", 12, 0, false},
    {"one cell more", 12, SCENE_BLOCK + 1, false},
    {"a negative position", 16, 0xffffff80, false},
    {"a position far away", 16, 0x40000000, false},
    {"many sequences", 20, 0x7fffffff, false},
    {"V transposed", 16 + 12 * SCENE_BLOCK, 1, false},
    {"many layers", 16 + 12 * SCENE_BLOCK + 4, 0x7fffffff, false},
    {"another type", 16 + 12 * SCENE_BLOCK + 8, 0, false},
    {"long rows", 16 + 12 * SCENE_BLOCK + 12, 0x7fffffff, false},
    {"another row", 16 + 12 * SCENE_BLOCK + 8 + 12, 0x12345678, false},
    {"other tokens", offsetof(struct block_header, first), 0, true},
    {"another sum", offsetof(struct block_header, sums), 1, true},
};

/* A worker asked for the prompt takes the blocks before the bad one, and no more. */
static void is_refused(const struct scene *scene, struct engine_worker *worker, uint64_t seed,
    uint32_t refused, const char *name)
{
    struct engine_answer answer;
    struct engine_answer expected;
    scene_expect(scene, scene->window_model, NULL, seed, TOKENS, &expected);
    scene_ask(worker, seed, TOKENS, &answer);
    if (answer.reused_tokens != BAD * SCENE_BLOCK || answer.refused_blocks != refused) {
        fail_msg("%s: %u tokens were reused, %u blocks refused", name, answer.reused_tokens,
            answer.refused_blocks);
    }
    scene_same(&answer, &expected);
}

static void made_up_blocks_are_refused(void **state)
{
    const struct scene *scene = *state;
    struct intruder intruder;
    struct engine_worker worker;
    open_intruder(scene, &intruder);
    scene_start(scene, scene->window_model, NULL, -1, &worker);
    assert_string_equal(worker.space, intruder.space.name);
    for (size_t i = 0; i < CHECK_COUNT(damages); i++) {
        const struct damage *damage = &damages[i];
        compute(&intruder, 200 + i);
        uint64_t at = damage->offset + (damage->header ? 0 : sizeof(struct block_header));
        memcpy(intruder.blocks[BAD] + at, &damage->value, sizeof damage->value);
        plant(&intruder, intruder.bytes);
        is_refused(scene, &worker, 200 + i, 1, damage->name);
    }
    assert_int_equal(engine_worker_stop(&worker), 0);
    close_intruder(&intruder);
}

static void short_blocks_are_refused(void **state)
{
    const struct scene *scene = *state;
    struct intruder intruder;
    struct engine_worker worker;
    open_intruder(scene, &intruder);
    scene_start(scene, scene->window_model, NULL, -1, &worker);
    const uint64_t bytes[] = {1, 64, 80, 4096, intruder.bytes - 1};
    for (size_t i = 0; i < CHECK_COUNT(bytes); i++) {
        compute(&intruder, 300 + i);
        plant(&intruder, bytes[i]);
        is_refused(scene, &worker, 300 + i, 1, "a short block");
    }
    assert_int_equal(engine_worker_stop(&worker), 0);
    close_intruder(&intruder);
}

/* Also a context with a stream for each sequence takes a stitched blob; it goes to its stream. */
static void an_engine_with_streams_takes_the_same_blocks(void **state)
{
    const struct scene *scene = *state;
    static int32_t tokens[TOKENS];
    const struct stitch_target target = {.streams = 4, .stream = 2};
    struct intruder intruder;
    struct stitch_view views[BLOCKS];
    const char *why;
    open_intruder(scene, &intruder);
    compute(&intruder, 400);
    const struct blob_shape *shape = intruder.engine.shape;
    uint64_t bytes = stitch_bytes(shape, BLOCKS, SCENE_BLOCK, &target);
    uint8_t *data = malloc(bytes);
    assert_non_null(data);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        views[i] = (struct stitch_view){intruder.blocks[i], intruder.bytes};
    }
    assert_int_equal(stitch_blocks(shape, views, BLOCKS, SCENE_BLOCK, &target, data, &why), BLOCKS);
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = 4096;
    params.n_seq_max = 4;
    params.kv_unified = false;
    params.swa_full = true;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.n_threads = params.n_threads_batch = 1;
    struct llama_context *context = llama_init_from_model(intruder.engine.model, params);
    assert_non_null(context);
    assert_int_equal(llama_state_seq_set_data(context, data, bytes, 2), bytes);
    assert_int_equal(
        llama_memory_seq_pos_max(llama_get_memory(context), 2), BLOCKS * SCENE_BLOCK - 1);
    /* The next token's logits, in both. */
    scene_prompt(400, TOKENS, tokens);
    int32_t *next = &tokens[BLOCKS * SCENE_BLOCK];
    struct llama_batch batch = llama_batch_init(1, 0, 1);
    batch.n_tokens = 1;
    batch.token[0] = *next;
    batch.pos[0] = BLOCKS * SCENE_BLOCK;
    batch.n_seq_id[0] = 1;
    batch.seq_id[0][0] = 2;
    batch.logits[0] = 1;
    assert_int_equal(llama_decode(context, batch), 0);
    assert_true(engine_decode(&intruder.engine, next, BLOCKS * SCENE_BLOCK, 1));
    assert_memory_equal(llama_get_logits_ith(context, -1), engine_logits(&intruder.engine),
        TINY_MODEL_VOCABULARY * sizeof(float));
    llama_batch_free(batch);
    llama_free(context);
    free(data);
    close_intruder(&intruder);
}

int main(void)
{
    const struct rlimit limit = {.rlim_cur = MEMORY_BYTES, .rlim_max = MEMORY_BYTES};
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
        (void)puts("skipped: the address space cannot be limited here");
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(made_up_blocks_are_refused, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(short_blocks_are_refused, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            an_engine_with_streams_takes_the_same_blocks, scene_set_up, scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
