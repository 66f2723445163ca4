/* scene: a sidecar, model files and worker programs, for the tests of the workers.
 *
 * Always: all of it is the test's own, in a temporary folder, and gone at its end.
 */
#ifndef CISTERN_TESTS_ENGINES_SCENE_H
#define CISTERN_TESTS_ENGINES_SCENE_H

#include "tests/check.h"

#include "bench/engine_worker.h"
#include "tests/e2e/daemon.h"
#include "tests/engines/tiny_model.h"

#include <limits.h>

#define SCENE_WAIT_NS INT64_C(60000000000) /* a hang is a failure after this */
#define SCENE_GENERATE 12u
#define SCENE_TOKENS_MAX 1024u
#define SCENE_BLOCK 64u
#define SCENE_FLAGS_MAX 8

struct scene {
    struct daemon daemon;
    char folder[64];
    char model[96]; /* llama-like */
    char window_model[96]; /* gemma3-like */
    char other_model[96]; /* llama-like, other weights */
    char recurrent_model[96];
    char lora[96];
    char program[PATH_MAX];
};

/* As cmocka wants them: set_up leaves a scene at *state. */
int scene_set_up(void **state);
int scene_tear_down(void **state);

/* Start a worker on `model` with further flags (NULL at the end, or NULL); its errors go to
 * `error_fd` (-1: ours). */
void scene_start(const struct scene *scene, const char *model, const char *const flags[],
    int error_fd, struct engine_worker *out_worker);

/* Tokens of a made-up prompt: equal for equal seeds, so a shorter one is a prefix of a longer. */
void scene_prompt(uint64_t seed, uint32_t count, int32_t *out_tokens);

/* Ask for an answer to scene_prompt(seed, count), and have it. */
void scene_ask(
    struct engine_worker *worker, uint64_t seed, uint32_t count, struct engine_answer *out_answer);

/* Ask again until `reused` tokens of it are reused: the sidecar may have had no slot in time. Every
 * answer must be the same as `expected`. */
void scene_ask_until(struct engine_worker *worker, uint64_t seed, uint32_t count, uint32_t reused,
    const struct engine_answer *expected);

/* The two halves of it. */
void scene_send(struct engine_worker *worker, uint64_t seed, uint32_t count);
void scene_receive(struct engine_worker *worker, struct engine_answer *out_answer);

/* Assert that they are the same: each token, and each bit of the first one's logits. */
void scene_same(const struct engine_answer *one, const struct engine_answer *other);

/* What a worker without a cache answers. */
void scene_expect(const struct scene *scene, const char *model, const char *const flags[],
    uint64_t seed, uint32_t count, struct engine_answer *out_answer);

#endif
