/* scene: see the header. */
#include "tests/engines/scene.h"

#include "tests/e2e/child.h"
#include "tests/folder.h"

#include <string.h>

static void make_models(struct scene *scene)
{
    (void)snprintf(scene->folder, sizeof scene->folder, "/tmp/cistern-engines-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    (void)snprintf(scene->model, sizeof scene->model, "%s/model.gguf", scene->folder);
    (void)snprintf(
        scene->window_model, sizeof scene->window_model, "%s/window.gguf", scene->folder);
    (void)snprintf(scene->other_model, sizeof scene->other_model, "%s/other.gguf", scene->folder);
    (void)snprintf(
        scene->recurrent_model, sizeof scene->recurrent_model, "%s/mamba.gguf", scene->folder);
    (void)snprintf(scene->lora, sizeof scene->lora, "%s/lora.gguf", scene->folder);
    assert_true(tiny_model_write(TINY_MODEL_LLAMA, 1, scene->model));
    assert_true(tiny_model_write(TINY_MODEL_GEMMA3, 2, scene->window_model));
    assert_true(tiny_model_write(TINY_MODEL_LLAMA, 3, scene->other_model));
    assert_true(tiny_model_write(TINY_MODEL_MAMBA, 4, scene->recurrent_model));
    assert_true(tiny_model_write_lora(5, scene->lora));
}

int scene_set_up(void **state)
{
    static struct scene scene;
    memset(&scene, 0, sizeof scene);
    const char *build = getenv("CISTERN_BUILD");
    (void)snprintf(scene.program, sizeof scene.program, "%s/bench/engines/llama/cistern-llama",
        build == NULL ? "build" : build);
    make_models(&scene);
    *state = &scene;
    return daemon_start(&scene.daemon, NULL) ? 0 : -1;
}

int scene_tear_down(void **state)
{
    struct scene *scene = *state;
    bool stopped = scene->daemon.pid == 0 || daemon_stop(&scene->daemon);
    daemon_close(&scene->daemon);
    return folder_remove(scene->folder) == 0 && stopped ? 0 : -1;
}

void scene_start(const struct scene *scene, const char *model, const char *const flags[],
    int error_fd, struct engine_worker *out_worker)
{
    /* One thread: two of them wait for each other by spinning, on cores that others want. */
    const char *fixed[] = {scene->program, "--model", model, "--socket", scene->daemon.socket,
        "--threads", "1", "--ctx", "1536"};
    char *argv[CHECK_COUNT(fixed) + SCENE_FLAGS_MAX + 1] = {0};
    size_t count = CHECK_COUNT(fixed);
    memcpy(argv, fixed, sizeof fixed);
    for (size_t i = 0; flags != NULL && flags[i] != NULL; i++) {
        assert_true(i < SCENE_FLAGS_MAX);
        memcpy(&argv[count++], &flags[i], sizeof flags[i]);
    }
    assert_true(engine_worker_start(argv, error_fd, SCENE_WAIT_NS, out_worker));
}

void scene_prompt(uint64_t seed, uint32_t count, int32_t *out_tokens)
{
    for (uint32_t i = 0; i < count; i++) {
        out_tokens[i] = (int32_t)(check_random(&seed) % TINY_MODEL_VOCABULARY);
    }
}

void scene_send(struct engine_worker *worker, uint64_t seed, uint32_t count)
{
    static int32_t tokens[SCENE_TOKENS_MAX];
    assert_true(count <= SCENE_TOKENS_MAX);
    scene_prompt(seed, count, tokens);
    cJSON *request = cJSON_CreateObject();
    cJSON_AddItemToObject(request, "tokens", cJSON_CreateIntArray(tokens, (int)count));
    cJSON_AddNumberToObject(request, "generate", SCENE_GENERATE);
    assert_true(engine_worker_ask(worker, request));
    cJSON_Delete(request);
}

void scene_receive(struct engine_worker *worker, struct engine_answer *out_answer)
{
    assert_true(engine_worker_answer(worker, SCENE_WAIT_NS, out_answer));
    assert_int_equal(out_answer->token_count, SCENE_GENERATE);
}

void scene_ask(
    struct engine_worker *worker, uint64_t seed, uint32_t count, struct engine_answer *out_answer)
{
    scene_send(worker, seed, count);
    scene_receive(worker, out_answer);
    assert_int_equal(out_answer->prompt_tokens, count);
}

void scene_same(const struct engine_answer *one, const struct engine_answer *other)
{
    assert_int_equal(one->token_count, other->token_count);
    assert_memory_equal(one->tokens, other->tokens, one->token_count * sizeof one->tokens[0]);
    assert_string_equal(one->logits, other->logits);
}

void scene_ask_until(struct engine_worker *worker, uint64_t seed, uint32_t count, uint32_t reused,
    const struct engine_answer *expected)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    struct engine_answer answer = {0};
    while (answer.reused_tokens < reused) {
        assert_true(child_now_ns() < deadline);
        scene_ask(worker, seed, count, &answer);
        scene_same(&answer, expected);
        child_nap();
    }
    assert_int_equal(answer.reused_tokens, reused);
}

void scene_expect(const struct scene *scene, const char *model, const char *const flags[],
    uint64_t seed, uint32_t count, struct engine_answer *out_answer)
{
    const char *all[SCENE_FLAGS_MAX + 2] = {"--no-cache"};
    struct engine_worker worker;
    for (size_t i = 0; flags != NULL && flags[i] != NULL; i++) {
        assert_true(i + 1 < SCENE_FLAGS_MAX);
        all[i + 1] = flags[i];
    }
    scene_start(scene, model, all, -1, &worker);
    scene_ask(&worker, seed, count, out_answer);
    assert_int_equal(out_answer->reused_tokens + out_answer->stored_blocks, 0);
    assert_int_equal(engine_worker_stop(&worker), 0);
}
