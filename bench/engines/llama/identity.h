/* identity: everything that must be equal for two workers to use each other's blocks.
 *
 * Filled by main from the engine; made into the namespace of libcistern. Always: what changes a bit
 * of K or V, or a byte of the blob, changes the namespace's name, so workers that differ share a
 * sidecar and never a block.
 */
#ifndef CISTERN_BENCH_ENGINES_LLAMA_IDENTITY_H
#define CISTERN_BENCH_ENGINES_LLAMA_IDENTITY_H

#include "bench/engines/llama/blob.h"

#include <cistern.h>

#define IDENTITY_DIGEST_CHARS 65 /* SHA-256 in hexadecimal digits, and its end */

struct identity {
    const char *model_name; /* for people: the file's name */
    char model_digest[IDENTITY_DIGEST_CHARS]; /* of the model's file */
    char lora_digest[IDENTITY_DIGEST_CHARS]; /* of the adapter's file; "": none */
    const char *kv_type;
    const char *rope;
    const char *engine_version;
    uint32_t state_version;
    bool rotated; /* K and V are turned before they are stored, where the type asks for it */
    uint32_t block_tokens;
    uint32_t step_tokens; /* how many tokens are computed at once: it shows in the last bits */
    uint32_t layers;
    uint32_t heads;
    const struct blob_shape *shape;
};

/* The texts that a namespace points at. */
struct identity_texts {
    char name[64];
    char model[192];
    char dtype[64];
    char layout[64];
    char rope[64];
    char lora[64];
    char engine[64];
};

/* SHA-256 of a file. Returns false if it cannot be read. */
bool identity_digest_file(const char *path, char out_digest[IDENTITY_DIGEST_CHARS]);

/* The namespace; it points into `out_texts`. Returns false if there is no digest to be had. */
bool identity_space(const struct identity *identity, struct identity_texts *out_texts,
    struct cistern_namespace *out_space);

#endif
