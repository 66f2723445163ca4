/* test_llama_share: two workers on the real engine compute a prefix once, and answer as one that
 * knows no cache, bit by bit. */
#include "tests/engines/scene.h"

#include "tests/e2e/child.h"

#define LONG_BLOCKS 2u /* the case with blocks of 128 tokens */

static const uint32_t lengths[] = {65, 640, 700, 1000};

/* Ask one worker, then the other one; compare with one that computes everything. */
static void share(const struct scene *scene, const char *model, const char *const flags[])
{
    struct engine_worker one;
    struct engine_worker two;
    scene_start(scene, model, flags, -1, &one);
    scene_start(scene, model, flags, -1, &two);
    assert_string_equal(one.space, two.space);
    for (size_t i = 0; i < CHECK_COUNT(lengths); i++) {
        struct engine_answer expected;
        struct engine_answer cold;
        uint64_t seed = 100 + i;
        uint32_t whole = (lengths[i] - 1) / SCENE_BLOCK;
        scene_expect(scene, model, flags, seed, lengths[i], &expected);
        scene_ask(&one, seed, lengths[i], &cold);
        assert_int_equal(cold.reused_tokens, 0);
        scene_same(&cold, &expected);
        scene_ask_until(&one, seed, lengths[i], whole * SCENE_BLOCK, &expected);
        scene_ask_until(&two, seed, lengths[i], whole * SCENE_BLOCK, &expected);
    }
    assert_int_equal(engine_worker_stop(&one), 0);
    assert_int_equal(engine_worker_stop(&two), 0);
}

static void two_workers_compute_a_prefix_once(void **state)
{
    const struct scene *scene = *state;
    share(scene, scene->model, NULL);
}

static void layers_with_a_sliding_window_are_exact_too(void **state)
{
    const struct scene *scene = *state;
    share(scene, scene->window_model, NULL);
}

static void float32_and_quantized_caches_are_exact_too(void **state)
{
    const struct scene *scene = *state;
    static const char *const floats[] = {"--kv-type", "f32", NULL};
    static const char *const quantized[] = {"--kv-type", "q8_0", NULL};
    share(scene, scene->model, floats);
    share(scene, scene->model, quantized);
}

/* Bits may differ here: ask until all is there, and compare nothing. */
static void ask_until_stored(
    struct engine_worker *worker, uint64_t seed, uint32_t count, uint32_t reused)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    struct engine_answer answer = {0};
    while (answer.reused_tokens < reused) {
        assert_true(child_now_ns() < deadline);
        scene_ask(worker, seed, count, &answer);
        child_nap();
    }
}

/* The engine's own short ring of rows: 640 tokens through a window of 128. */
static void a_window_alone_gives_the_same_tokens(void **state)
{
    const struct scene *scene = *state;
    static const char *const flags[] = {"--window-alone", NULL};
    struct engine_worker one;
    struct engine_worker two;
    struct engine_answer expected;
    struct engine_answer warm;
    scene_start(scene, scene->window_model, flags, -1, &one);
    scene_start(scene, scene->window_model, flags, -1, &two);
    scene_ask(&one, 7, 1000, &expected);
    ask_until_stored(&one, 7, 1000, 960);
    scene_ask(&two, 7, 1000, &warm);
    assert_int_equal(warm.reused_tokens, 960);
    assert_memory_equal(warm.tokens, expected.tokens, sizeof warm.tokens[0] * SCENE_GENERATE);
    /* A shorter prefix needs rows that the long run's window had left behind. */
    scene_expect(scene, scene->window_model, flags, 7, 400, &expected);
    scene_ask(&two, 7, 400, &warm);
    assert_int_equal(warm.reused_tokens, 384);
    assert_memory_equal(warm.tokens, expected.tokens, sizeof warm.tokens[0] * SCENE_GENERATE);
    assert_int_equal(engine_worker_stop(&one), 0);
    assert_int_equal(engine_worker_stop(&two), 0);
}

static void a_longer_prompt_takes_up_a_shorter_one(void **state)
{
    const struct scene *scene = *state;
    struct engine_worker one;
    struct engine_worker two;
    struct engine_answer answer;
    struct engine_answer expected;
    scene_start(scene, scene->window_model, NULL, -1, &one);
    scene_start(scene, scene->window_model, NULL, -1, &two);
    scene_expect(scene, scene->window_model, NULL, 8, 300, &expected);
    scene_ask_until(&one, 8, 300, 256, &expected);
    scene_expect(scene, scene->window_model, NULL, 8, 800, &expected);
    scene_ask(&two, 8, 800, &answer);
    assert_int_equal(answer.reused_tokens, 256);
    scene_same(&answer, &expected);
    scene_ask_until(&two, 8, 800, 768, &expected);
    scene_ask_until(&one, 8, 800, 768, &expected);
    assert_int_equal(engine_worker_stop(&one), 0);
    assert_int_equal(engine_worker_stop(&two), 0);
}

/* Everything that changes a bit of K or V: each worker computes for itself, on one sidecar. */
static void workers_that_differ_share_no_block(void **state)
{
    const struct scene *scene = *state;
    const char *flags[][3] = {{NULL}, {"--kv-type", "f32", NULL}, {"--block-tokens", "128", NULL},
        {"--rope-freq-base", "20000", NULL}, {"--rope-freq-scale", "0.5", NULL},
        {"--lora", scene->lora, NULL}};
    for (size_t i = 0; i < CHECK_COUNT(flags) + 1; i++) {
        bool other = i == CHECK_COUNT(flags);
        const char *model = other ? scene->other_model : scene->model;
        const char *const *with = other ? flags[0] : flags[i];
        struct engine_worker worker;
        struct engine_answer answer;
        struct engine_answer expected;
        scene_start(scene, model, with, -1, &worker);
        scene_ask(&worker, 9, 500, &answer);
        assert_int_equal(answer.reused_tokens, 0);
        scene_expect(scene, model, with, 9, 500, &expected);
        scene_same(&answer, &expected);
        scene_ask_until(&worker, 9, 500, i == LONG_BLOCKS ? 384 : 448, &expected); /* its own */
        assert_int_equal(engine_worker_stop(&worker), 0);
    }
}

static void a_recurrent_model_is_served_without_the_cache(void **state)
{
    const struct scene *scene = *state;
    struct engine_worker worker;
    struct engine_answer answer;
    scene_start(scene, scene->recurrent_model, NULL, -1, &worker);
    assert_int_equal(worker.block_bytes, 0);
    for (int i = 0; i < 2; i++) {
        scene_ask(&worker, 10, 200, &answer);
        assert_int_equal(answer.reused_tokens + answer.stored_blocks, 0);
    }
    assert_int_equal(engine_worker_stop(&worker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            two_workers_compute_a_prefix_once, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            layers_with_a_sliding_window_are_exact_too, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            float32_and_quantized_caches_are_exact_too, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            a_window_alone_gives_the_same_tokens, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            a_longer_prompt_takes_up_a_shorter_one, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            workers_that_differ_share_no_block, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            a_recurrent_model_is_served_without_the_cache, scene_set_up, scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
