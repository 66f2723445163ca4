/* tiny_model: see the header. */
#include "tests/engines/tiny_model.h"

#include "tests/check.h"

#include <ggml.h>
#include <gguf.h>
#include <string.h>

#define WIDTH 128
#define HEADS 4
#define HEADS_KV 2
#define HEAD 32
#define FEED 256
#define RANK 4
#define MEMORY_BYTES (64u << 20)

struct maker {
    struct gguf_context *file;
    struct ggml_context *memory;
    uint64_t seed;
};

/* A tensor of `rows` rows; norms are 1, the rest noise of a size that keeps sums about 1. */
static void add(struct maker *maker, const char *name, int64_t width, int64_t rows)
{
    bool norm = strstr(name, "norm") != NULL;
    struct ggml_tensor *tensor =
        rows == 0 ? ggml_new_tensor_1d(maker->memory, GGML_TYPE_F32, width)
                  : ggml_new_tensor_2d(maker->memory, GGML_TYPE_F32, width, rows);
    uint64_t state = maker->seed;
    for (const char *at = name; *at != '\0'; at++) {
        state = (state ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    }
    float *data = tensor->data;
    for (int64_t i = 0; i < ggml_nelements(tensor); i++) {
        double noise = (double)(check_random(&state) >> 11) / (double)(UINT64_C(1) << 53) - 0.5;
        data[i] = norm ? 1.0f : (float)(noise * 0.3);
    }
    (void)ggml_set_name(tensor, name);
    gguf_add_tensor(maker->file, tensor);
}

static void add_layer(struct maker *maker, int layer, const char *name, int64_t width, int64_t rows)
{
    char full[64];
    (void)snprintf(full, sizeof full, "blk.%d.%s.weight", layer, name);
    add(maker, full, width, rows);
}

static void set_count(struct maker *maker, const char *family, const char *name, uint32_t value)
{
    char full[96];
    (void)snprintf(full, sizeof full, "%s.%s", family, name);
    gguf_set_val_u32(maker->file, full, value);
}

static void describe(struct maker *maker, const char *family, uint32_t layers)
{
    char full[96];
    gguf_set_val_str(maker->file, "general.architecture", family);
    gguf_set_val_str(maker->file, "tokenizer.ggml.model", "no_vocab");
    set_count(maker, family, "vocab_size", TINY_MODEL_VOCABULARY);
    set_count(maker, family, "context_length", 4096);
    set_count(maker, family, "embedding_length", WIDTH);
    set_count(maker, family, "block_count", layers);
    set_count(maker, family, "feed_forward_length", FEED);
    set_count(maker, family, "attention.head_count", HEADS);
    set_count(maker, family, "attention.head_count_kv", HEADS_KV);
    set_count(maker, family, "attention.key_length", HEAD);
    set_count(maker, family, "attention.value_length", HEAD);
    set_count(maker, family, "rope.dimension_count", HEAD);
    (void)snprintf(full, sizeof full, "%s.attention.layer_norm_rms_epsilon", family);
    gguf_set_val_f32(maker->file, full, 1e-5f);
}

static void add_attention_layer(struct maker *maker, int layer, bool gemma)
{
    add_layer(maker, layer, "attn_norm", WIDTH, 0);
    add_layer(maker, layer, "attn_q", WIDTH, HEADS * HEAD);
    add_layer(maker, layer, "attn_k", WIDTH, HEADS_KV * HEAD);
    add_layer(maker, layer, "attn_v", WIDTH, HEADS_KV * HEAD);
    add_layer(maker, layer, "attn_output", HEADS * HEAD, WIDTH);
    add_layer(maker, layer, "ffn_norm", WIDTH, 0);
    add_layer(maker, layer, "ffn_gate", WIDTH, FEED);
    add_layer(maker, layer, "ffn_down", FEED, WIDTH);
    add_layer(maker, layer, "ffn_up", WIDTH, FEED);
    if (gemma) {
        add_layer(maker, layer, "post_attention_norm", WIDTH, 0);
        add_layer(maker, layer, "post_ffw_norm", WIDTH, 0);
        add_layer(maker, layer, "attn_q_norm", HEAD, 0);
        add_layer(maker, layer, "attn_k_norm", HEAD, 0);
    }
}

static void add_recurrent_layer(struct maker *maker, int layer)
{
    enum { INNER = 2 * WIDTH, STATE = 16, STEP = 8 };
    add_layer(maker, layer, "attn_norm", WIDTH, 0);
    add_layer(maker, layer, "ssm_in", WIDTH, 2 * INNER);
    add_layer(maker, layer, "ssm_conv1d", 4, INNER);
    add_layer(maker, layer, "ssm_x", INNER, STEP + 2 * STATE);
    add_layer(maker, layer, "ssm_dt", STEP, INNER);
    char name[64];
    (void)snprintf(name, sizeof name, "blk.%d.ssm_conv1d.bias", layer);
    add(maker, name, INNER, 0);
    (void)snprintf(name, sizeof name, "blk.%d.ssm_dt.bias", layer);
    add(maker, name, INNER, 0);
    (void)snprintf(name, sizeof name, "blk.%d.ssm_a", layer);
    add(maker, name, STATE, INNER);
    (void)snprintf(name, sizeof name, "blk.%d.ssm_d", layer);
    add(maker, name, INNER, 0);
    add_layer(maker, layer, "ssm_out", INNER, WIDTH);
}

static bool open_maker(uint64_t seed, struct maker *out_maker)
{
    struct ggml_init_params params = {.mem_size = MEMORY_BYTES};
    *out_maker =
        (struct maker){.file = gguf_init_empty(), .memory = ggml_init(params), .seed = seed};
    return out_maker->file != NULL && out_maker->memory != NULL;
}

static bool write_and_close(struct maker *maker, const char *path)
{
    bool good = gguf_write_to_file(maker->file, path, false);
    ggml_free(maker->memory);
    gguf_free(maker->file);
    return good;
}

bool tiny_model_write(enum tiny_model_kind kind, uint64_t seed, const char *path)
{
    static const char *const families[] = {"llama", "gemma3", "mamba"};
    static const int layers[] = {4, 12, 2};
    struct maker maker;
    if (!open_maker(seed, &maker)) {
        return false;
    }
    describe(&maker, families[kind], (uint32_t)layers[kind]);
    if (kind == TINY_MODEL_GEMMA3) {
        set_count(&maker, "gemma3", "attention.sliding_window", TINY_MODEL_WINDOW);
    }
    if (kind == TINY_MODEL_MAMBA) {
        set_count(&maker, "mamba", "ssm.conv_kernel", 4);
        set_count(&maker, "mamba", "ssm.inner_size", 2 * WIDTH);
        set_count(&maker, "mamba", "ssm.state_size", 16);
        set_count(&maker, "mamba", "ssm.time_step_rank", 8);
    }
    add(&maker, "token_embd.weight", WIDTH, TINY_MODEL_VOCABULARY);
    add(&maker, "output_norm.weight", WIDTH, 0);
    add(&maker, "output.weight", WIDTH, TINY_MODEL_VOCABULARY);
    for (int layer = 0; layer < layers[kind]; layer++) {
        if (kind == TINY_MODEL_MAMBA) {
            add_recurrent_layer(&maker, layer);
        } else {
            add_attention_layer(&maker, layer, kind == TINY_MODEL_GEMMA3);
        }
    }
    return write_and_close(&maker, path);
}

bool tiny_model_write_lora(uint64_t seed, const char *path)
{
    struct maker maker;
    if (!open_maker(seed, &maker)) {
        return false;
    }
    gguf_set_val_str(maker.file, "general.type", "adapter");
    gguf_set_val_str(maker.file, "general.architecture", "llama");
    gguf_set_val_str(maker.file, "adapter.type", "lora");
    gguf_set_val_f32(maker.file, "adapter.lora.alpha", 2 * RANK);
    add(&maker, "blk.0.attn_k.weight.lora_a", WIDTH, RANK);
    add(&maker, "blk.0.attn_k.weight.lora_b", RANK, HEADS_KV * HEAD);
    return write_and_close(&maker, path);
}
