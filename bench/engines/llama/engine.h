/* engine: llama.cpp behind the few calls that a worker needs. The only file that knows its header.
 *
 * One thread. Sequence 0 is the conversation; sequence 1 takes ranges of it for a moment, to export
 * them. Always: the cache is unified and flash attention is on, so that the rows of K and V lie by
 * token and can be cut; an engine that keeps something else computes, but has no shape.
 */
#ifndef CISTERN_BENCH_ENGINES_LLAMA_ENGINE_H
#define CISTERN_BENCH_ENGINES_LLAMA_ENGINE_H

#include "bench/engines/llama/blob.h"
#include "bench/engines/llama/identity.h"

#include <stdbool.h>
#include <stdint.h>

struct llama_adapter_lora;
struct llama_context;
struct llama_model;

struct engine_options {
    const char *model_path; /* a GGUF file */
    const char *lora_path; /* NULL: none */
    uint32_t context_tokens;
    uint32_t block_tokens;
    uint32_t threads; /* 0: as the engine thinks */
    const char *kv_type; /* "f16", "q8_0" …; NULL: f16 */
    bool window_alone; /* keep no rows that left the window: less memory, other roundings */
    float rope_freq_base; /* 0: the model's */
    float rope_freq_scale; /* 0: the model's */
};

struct engine {
    struct llama_model *model;
    struct llama_adapter_lora *lora;
    struct llama_context *context;
    struct blob_shape *shape; /* owned; NULL: blocks of this model cannot be cut, see `why` */
    const char *why;
    uint32_t context_tokens;
    uint32_t vocabulary; /* token ids */
    uint32_t layers;
    uint32_t heads; /* of K and V */
    uint32_t window; /* what a layer that has one keeps of a block, in tokens; 0: all */
    uint32_t step_tokens; /* decode so many at once at most: none of their rows is gone by then */
    char kv_type[16];
    const char *version; /* of the engine */
    uint32_t state_version;
    bool rotated; /* K and V may be turned before they are stored */
    char rope[64]; /* what the positions in K were made with, for the namespace */
};

/* Load the model and compute a little, to learn the shape. Returns false after a line on stderr.
 * `out_engine` is given back by engine_close() in both cases. */
bool engine_open(const struct engine_options *options, struct engine *out_engine);

void engine_close(struct engine *engine);

/* What its blocks depend on; points into the engine, which has a shape, and the options. Reads the
 * whole file of the model. Returns false if it cannot. */
bool engine_identify(const struct engine *engine, const struct engine_options *options,
    struct identity *out_identity);

/* Token ids of a text, with what the model wants at the start: the first `room` of them. Returns
 * how many; 0 if the model has no vocabulary. */
uint32_t engine_tokens(
    const struct engine *engine, const char *text, int32_t *out_tokens, uint32_t room);

/* May generation end with this token? */
bool engine_ends(const struct engine *engine, int32_t token);

/* Forget the conversation. */
void engine_forget(struct engine *engine);

/* Compute `count` tokens, at most step_tokens, behind `first` that were computed or imported.
 * Returns false if the engine refuses. */
bool engine_decode(struct engine *engine, int32_t *tokens, uint32_t first, uint32_t count);

/* Logits of the last token decoded: `vocabulary` of them, until the next decode. */
const float *engine_logits(struct engine *engine);

/* The blob of the `count` positions from `first` on. Returns its bytes; 0 if that does not fit. */
uint64_t engine_export(
    struct engine *engine, uint32_t first, uint32_t count, uint8_t *out_data, uint64_t room);

/* Make what a checked blob holds the start of the conversation. Returns false if the engine refuses
 * it; the conversation is then empty. */
bool engine_import(struct engine *engine, const uint8_t *data, uint64_t bytes);

#endif
