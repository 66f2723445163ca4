/* tiny_model: models made up for a test: metadata and tensors built in memory, in a GGUF file.
 *
 * Not a double of an engine: the real one computes with them. Weights come from the seed and the
 * tensor's name, so every process that is given the file, or makes it anew, has the same ones.
 */
#ifndef CISTERN_TESTS_ENGINES_TINY_MODEL_H
#define CISTERN_TESTS_ENGINES_TINY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define TINY_MODEL_VOCABULARY 512u
#define TINY_MODEL_WINDOW 128u /* of the gemma3-like one */

enum tiny_model_kind {
    TINY_MODEL_LLAMA, /* 4 layers that see all */
    TINY_MODEL_GEMMA3, /* 12 layers, five of six with a sliding window */
    TINY_MODEL_MAMBA, /* a recurrent state: nothing to cut */
};

/* Write the model to `path`. Returns false if that fails. */
bool tiny_model_write(enum tiny_model_kind kind, uint64_t seed, const char *path);

/* Write an adapter for the llama-like model. */
bool tiny_model_write_lora(uint64_t seed, const char *path);

#endif
