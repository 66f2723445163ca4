/* engine: see the header. Facts about libllama in README.md. */
#include "bench/engines/llama/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llama.h>

#define CONVERSATION 0
#define RANGE BLOB_SEQUENCE
#define SEQUENCES 2
#define BATCH_TOKENS 512u
#define TEXT_BYTES_MAX (64u << 20)
#define SPECIAL_TOKENS 16 /* what a vocabulary may put before and behind a text */
#define LEARN_TOKENS 2u
#define LEARN_BYTES_MAX (UINT64_C(64) << 20)

/* Its log is for whoever debugs the engine: errors alone, here. */
static void log_errors(enum ggml_log_level level, const char *text, void *context)
{
    (void)context;
    if (level == GGML_LOG_LEVEL_ERROR) {
        fputs(text, stderr);
    }
}

static bool find_type(const char *name, enum ggml_type *out_type)
{
    static const enum ggml_type types[] = {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16,
        GGML_TYPE_Q8_0, GGML_TYPE_Q5_1, GGML_TYPE_Q5_0, GGML_TYPE_Q4_1, GGML_TYPE_Q4_0};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(name, ggml_type_name(types[i])) == 0) {
            *out_type = types[i];
            return true;
        }
    }
    fprintf(stderr, "cistern-llama: --kv-type: no '%s'; f32, f16, bf16, q8_0 and so on\n", name);
    return false;
}

static bool open_context(const struct engine_options *options, struct engine *engine)
{
    struct llama_context_params params = llama_context_default_params();
    enum ggml_type type;
    if (!find_type(options->kv_type == NULL ? "f16" : options->kv_type, &type)) {
        return false;
    }
    params.n_ctx = options->context_tokens;
    params.n_batch = BATCH_TOKENS;
    params.n_ubatch = BATCH_TOKENS;
    params.n_seq_max = SEQUENCES;
    params.kv_unified = true; /* only then a range can be lent to another sequence */
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.type_k = type;
    params.type_v = type;
    params.rope_freq_base = options->rope_freq_base;
    params.rope_freq_scale = options->rope_freq_scale;
    params.swa_full = !options->window_alone;
    params.no_perf = true;
    if (options->threads > 0) {
        params.n_threads = (int32_t)options->threads;
        params.n_threads_batch = (int32_t)options->threads;
    }
    engine->context = llama_init_from_model(engine->model, params);
    if (engine->context == NULL) {
        fputs("cistern-llama: the engine makes no context of this size and type\n", stderr);
        return false;
    }
    snprintf(engine->kv_type, sizeof engine->kv_type, "%s", ggml_type_name(type));
    snprintf(engine->rope, sizeof engine->rope, "type %d, base %.9g, scale %.9g",
        (int)llama_model_rope_type(engine->model), (double)params.rope_freq_base,
        (double)params.rope_freq_scale);
    return true;
}

static bool open_lora(const char *path, struct engine *engine)
{
    float scale = 1;
    if (path == NULL) {
        return true;
    }
    engine->lora = llama_adapter_lora_init(engine->model, path);
    if (engine->lora == NULL ||
        llama_set_adapters_lora(engine->context, &engine->lora, 1, &scale) != 0) {
        fprintf(stderr, "cistern-llama: --lora: the engine refuses %s\n", path);
        return false;
    }
    return true;
}

/* Compute two tokens, and look at what the engine keeps of them. Touches the weights, too, so that
 * the first request does not wait for the disk. */
static bool learn_shape(struct engine *engine)
{
    int32_t tokens[LEARN_TOKENS] = {0, 1};
    if (engine->vocabulary < LEARN_TOKENS || !engine_decode(engine, tokens, 0, LEARN_TOKENS)) {
        fputs("cistern-llama: the engine does not compute with this model\n", stderr);
        return false;
    }
    size_t bytes = llama_state_seq_get_size(engine->context, CONVERSATION);
    uint32_t parts = llama_model_n_swa(engine->model) > 0 ? 2 : 1;
    struct blob_shape *shape = malloc(sizeof *shape);
    uint8_t *data = bytes <= LEARN_BYTES_MAX ? malloc(bytes) : NULL;
    if (shape == NULL || data == NULL) {
        engine->why = "no memory";
    } else if (engine->window == 1 ||
               engine_export(engine, 0, LEARN_TOKENS, data, bytes) != bytes ||
               !blob_learn(data, bytes, LEARN_TOKENS, parts, engine->window, shape)) {
        engine->why = "this model's state is not rows of K and V by token";
    } else {
        engine->shape = shape;
        shape = NULL;
    }
    free(data);
    free(shape);
    engine_forget(engine);
    return true;
}

/* Where rows that left the window are written over, a step must not be longer than the window, or
 * its first blocks would be gone at its end. */
static uint32_t choose_step(uint32_t block_tokens, uint32_t window)
{
    uint32_t most = window != 0 && window < BATCH_TOKENS ? window : BATCH_TOKENS;
    return block_tokens > most ? block_tokens : most / block_tokens * block_tokens;
}

bool engine_open(const struct engine_options *options, struct engine *out_engine)
{
    struct engine *engine = out_engine;
    *engine = (struct engine){0};
    llama_log_set(log_errors, NULL);
    llama_backend_init();
    struct llama_model_params params = llama_model_default_params();
    engine->model = llama_model_load_from_file(options->model_path, params);
    if (engine->model == NULL) {
        fprintf(stderr, "cistern-llama: --model: the engine refuses %s\n", options->model_path);
        return false;
    }
    if (!open_context(options, engine) || !open_lora(options->lora_path, engine)) {
        return false;
    }
    const char *unturned = getenv("LLAMA_ATTN_ROT_DISABLE"); /* the engine's own variable */
    engine->rotated = unturned == NULL || strtol(unturned, NULL, 10) == 0;
    engine->context_tokens = llama_n_ctx(engine->context);
    engine->vocabulary = (uint32_t)llama_vocab_n_tokens(llama_model_get_vocab(engine->model));
    engine->layers = (uint32_t)llama_model_n_layer(engine->model);
    engine->heads = (uint32_t)llama_model_n_head_kv(engine->model);
    uint32_t window = (uint32_t)llama_model_n_swa(engine->model);
    engine->window = options->window_alone || options->block_tokens > window ? window : 0;
    engine->step_tokens = choose_step(options->block_tokens, engine->window);
    engine->version = llama_version();
    engine->state_version = LLAMA_STATE_SEQ_VERSION;
    return learn_shape(engine);
}

void engine_close(struct engine *engine)
{
    if (engine->context != NULL) {
        llama_free(engine->context);
    }
    if (engine->model != NULL) {
        llama_model_free(engine->model); /* and its adapters */
    }
    free(engine->shape);
    *engine = (struct engine){0};
}

bool engine_identify(const struct engine *engine, const struct engine_options *options,
    struct identity *out_identity)
{
    const char *slash = strrchr(options->model_path, '/');
    struct identity identity = {.model_name = slash == NULL ? options->model_path : slash + 1,
        .kv_type = engine->kv_type,
        .rope = engine->rope,
        .engine_version = engine->version,
        .state_version = engine->state_version,
        .rotated = engine->rotated,
        .block_tokens = options->block_tokens,
        .step_tokens = engine->step_tokens,
        .layers = engine->layers,
        .heads = engine->heads,
        .shape = engine->shape};
    if (!identity_digest_file(options->model_path, identity.model_digest) ||
        (options->lora_path != NULL &&
            !identity_digest_file(options->lora_path, identity.lora_digest))) {
        return false;
    }
    *out_identity = identity;
    return true;
}

uint32_t engine_tokens(
    const struct engine *engine, const char *text, int32_t *out_tokens, uint32_t room)
{
    const struct llama_vocab *vocabulary = llama_model_get_vocab(engine->model);
    size_t bytes = strlen(text);
    if (llama_vocab_type(vocabulary) == LLAMA_VOCAB_TYPE_NONE || bytes > TEXT_BYTES_MAX) {
        return 0;
    }
    int32_t most = (int32_t)bytes + SPECIAL_TOKENS;
    int32_t *tokens = malloc((size_t)most * sizeof *tokens);
    int32_t count = tokens == NULL ? 0
                                   : llama_tokenize(vocabulary, text, (int32_t)bytes, tokens, most,
                                         true, false);
    uint32_t taken = count <= 0 ? 0 : (uint32_t)count < room ? (uint32_t)count : room;
    if (taken > 0) {
        memcpy(out_tokens, tokens, taken * sizeof *tokens);
    }
    free(tokens);
    return taken;
}

bool engine_ends(const struct engine *engine, int32_t token)
{
    const struct llama_vocab *vocabulary = llama_model_get_vocab(engine->model);
    return llama_vocab_type(vocabulary) != LLAMA_VOCAB_TYPE_NONE &&
           llama_vocab_is_eog(vocabulary, token);
}

void engine_forget(struct engine *engine)
{
    llama_memory_clear(llama_get_memory(engine->context), false);
}

bool engine_decode(struct engine *engine, int32_t *tokens, uint32_t first, uint32_t count)
{
    llama_memory_t memory = llama_get_memory(engine->context);
    if (llama_memory_seq_pos_max(memory, CONVERSATION) + 1 != (int32_t)first) {
        return false;
    }
    struct llama_batch batch = llama_batch_get_one(tokens, (int32_t)count);
    return llama_decode(engine->context, batch) == 0;
}

const float *engine_logits(struct engine *engine)
{
    return llama_get_logits_ith(engine->context, -1);
}

uint64_t engine_export(
    struct engine *engine, uint32_t first, uint32_t count, uint8_t *out_data, uint64_t room)
{
    llama_memory_t memory = llama_get_memory(engine->context);
    llama_memory_seq_cp(memory, CONVERSATION, RANGE, (int32_t)first, (int32_t)(first + count));
    size_t bytes = llama_state_seq_get_data(engine->context, out_data, room, RANGE);
    llama_memory_seq_rm(memory, RANGE, -1, -1);
    return bytes;
}

bool engine_import(struct engine *engine, const uint8_t *data, uint64_t bytes)
{
    if (llama_state_seq_set_data(engine->context, data, bytes, CONVERSATION) != bytes) {
        engine_forget(engine);
        return false;
    }
    return true;
}
