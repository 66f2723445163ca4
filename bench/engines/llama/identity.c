/* identity: digests and texts; see the header. */
#include "bench/engines/llama/identity.h"

#include "bench/engines/llama/block.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_BYTES (1u << 20)

static void put_hex(const uint8_t *bytes, size_t count, char *out_text)
{
    for (size_t i = 0; i < count; i++) {
        snprintf(out_text + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* Ends the digest and writes it. */
static bool end_digest(EVP_MD_CTX *digest, char out_text[IDENTITY_DIGEST_CHARS])
{
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned count = 0;
    if (EVP_DigestFinal_ex(digest, bytes, &count) != 1 || 2 * count >= IDENTITY_DIGEST_CHARS) {
        return false;
    }
    put_hex(bytes, count, out_text);
    return true;
}

bool identity_digest_file(const char *path, char out_digest[IDENTITY_DIGEST_CHARS])
{
    FILE *file = fopen(path, "re");
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    uint8_t *bytes = malloc(READ_BYTES);
    bool good = file != NULL && digest != NULL && bytes != NULL &&
                EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    size_t count;
    while (good && (count = fread(bytes, 1, READ_BYTES, file)) > 0) {
        good = EVP_DigestUpdate(digest, bytes, count) == 1;
    }
    good = good && ferror(file) == 0 && end_digest(digest, out_digest);
    free(bytes);
    EVP_MD_CTX_free(digest);
    if (file != NULL) {
        fclose(file);
    }
    return good;
}

/* Add a text with its end, so that no two lists of texts are the same bytes. */
static bool add_text(EVP_MD_CTX *digest, const char *text)
{
    return EVP_DigestUpdate(digest, text, strlen(text) + 1) == 1;
}

static bool add_shape(EVP_MD_CTX *digest, const struct blob_shape *shape)
{
    bool good = true;
    for (uint32_t i = 0; i < shape->part_count && good; i++) {
        const struct blob_part *part = &shape->parts[i];
        uint32_t counts[3] = {part->window, part->layers, part->run_count};
        good = EVP_DigestUpdate(digest, counts, sizeof counts) == 1;
        for (uint32_t run = 0; run < part->run_count && good; run++) {
            uint64_t words[2] = {(uint64_t)part->runs[run].type, part->runs[run].row_bytes};
            good = EVP_DigestUpdate(digest, words, sizeof words) == 1;
        }
    }
    return good;
}

/* Of everything: no field, and no byte of a field that the texts had no room for, is left out. */
static bool digest_all(const struct identity *identity, char out_text[IDENTITY_DIGEST_CHARS])
{
    char numbers[160];
    snprintf(numbers, sizeof numbers, "block %llx, state %u, rotated %d, block %u, step %u, %u, %u",
        (unsigned long long)BLOCK_MAGIC, identity->state_version, identity->rotated ? 1 : 0,
        identity->block_tokens, identity->step_tokens, identity->layers, identity->heads);
    const char *texts[] = {identity->model_digest, identity->lora_digest, identity->kv_type,
        identity->rope, identity->engine_version, numbers};
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool good = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && good; i++) {
        good = add_text(digest, texts[i]);
    }
    good = good && add_shape(digest, identity->shape) && end_digest(digest, out_text);
    EVP_MD_CTX_free(digest);
    return good;
}

bool identity_space(const struct identity *identity, struct identity_texts *out_texts,
    struct cistern_namespace *out_space)
{
    char all[IDENTITY_DIGEST_CHARS];
    struct identity_texts *texts = out_texts;
    if (!digest_all(identity, all)) {
        return false;
    }
    const struct blob_shape *shape = identity->shape;
    snprintf(texts->name, sizeof texts->name, "%.38s-%.24s", identity->model_name, all);
    snprintf(texts->model, sizeof texts->model, "%.60s sha256:%s", identity->model_name,
        identity->model_digest);
    snprintf(texts->dtype, sizeof texts->dtype, "%.16s%s", identity->kv_type,
        identity->rotated ? ", rotated if quantized" : "");
    snprintf(texts->layout, sizeof texts->layout, "llama sequence state, %u caches, %.16s",
        shape->part_count, all + 24);
    snprintf(texts->rope, sizeof texts->rope, "%.63s", identity->rope);
    snprintf(texts->lora, sizeof texts->lora, "%.63s", identity->lora_digest);
    snprintf(texts->engine, sizeof texts->engine, "llama.cpp %.24s, state %u, steps of %u",
        identity->engine_version, identity->state_version, identity->step_tokens);
    *out_space = (struct cistern_namespace){.size = sizeof *out_space,
        .block_tokens = identity->block_tokens,
        .block_bytes = block_bytes(shape, identity->block_tokens),
        .name = texts->name,
        .model = texts->model,
        .dtype = texts->dtype,
        .layout = texts->layout,
        .rope = texts->rope,
        .lora = texts->lora,
        .engine = texts->engine,
        .layers = identity->layers,
        .heads = identity->heads};
    return true;
}
