/* key: SHA-256 and HMAC by OpenSSL, in the form found fastest: a template context that
 * is copied for each hash (OpenSSL 3.0; see shm/README.md, decision 5). */
#include "shm/key.h"

#include "shm/status.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define SMALL_BYTES 512u /* tokens of a block that are copied beside the parent */

int key_open(struct key_hasher *out_hasher)
{
    EVP_MD *digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *template = EVP_MD_CTX_new();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct key_hasher hasher = {.digest = digest, .template = template, .context = context};
    if (digest == NULL || template == NULL || context == NULL ||
        EVP_DigestInit_ex2(template, digest, NULL) != 1) {
        key_close(&hasher);
        return STATUS_NO_MEMORY;
    }
    *out_hasher = hasher;
    return STATUS_OK;
}

void key_close(struct key_hasher *hasher)
{
    if (hasher == NULL) {
        return;
    }
    EVP_MD_CTX_free(hasher->context);
    EVP_MD_CTX_free(hasher->template);
    EVP_MD_free(hasher->digest);
    *hasher = (struct key_hasher){0};
}

static int hash(
    const struct key_hasher *hasher, const void *message, size_t bytes, struct key *out_key)
{
    EVP_MD_CTX *context = hasher->context;
    struct key key;
    unsigned length = sizeof key;
    if (EVP_MD_CTX_copy_ex(context, hasher->template) != 1 ||
        EVP_DigestUpdate(context, message, bytes) != 1 ||
        EVP_DigestFinal_ex(context, (unsigned char *)&key, &length) != 1) {
        return STATUS_INTERNAL;
    }
    assert(length == sizeof key);
    *out_key = key;
    return STATUS_OK;
}

int key_root(const struct key_hasher *hasher, const struct space *space, const void *secret,
    size_t secret_bytes, struct key *out_root)
{
    size_t bytes = offsetof(struct space, secret_check);
    if (secret_bytes == 0) {
        return hash(hasher, space, bytes, out_root);
    }
    assert(secret_bytes <= INT32_MAX);
    struct key key;
    unsigned length = sizeof key;
    if (HMAC(hasher->digest, secret, (int)secret_bytes, (const unsigned char *)space, bytes,
            (unsigned char *)&key, &length) == NULL) {
        return STATUS_INTERNAL;
    }
    *out_root = key;
    return STATUS_OK;
}

int key_secret_check(const void *secret, size_t secret_bytes, uint8_t *out_check)
{
    static const char text[] = "cistern: which secret is this?";
    unsigned length = 32;
    assert(secret_bytes > 0 && secret_bytes <= INT32_MAX);
    if (HMAC(EVP_sha256(), secret, (int)secret_bytes, (const unsigned char *)text, sizeof text - 1,
            out_check, &length) == NULL) {
        return STATUS_INTERNAL;
    }
    return STATUS_OK;
}

/* The usual block: parent and tokens side by side, so that OpenSSL sees one message. */
static int chain_small(const struct key_hasher *hasher, const struct key *parent,
    const uint32_t *tokens, size_t token_bytes, size_t blocks, struct key *out_keys)
{
    unsigned char message[sizeof *parent + SMALL_BYTES];
    const struct key *last = parent;
    int status = STATUS_OK;
    for (size_t i = 0; i < blocks && status == STATUS_OK; i++) {
        memcpy(message, last, sizeof *last);
        memcpy(message + sizeof *last, (const char *)tokens + i * token_bytes, token_bytes);
        status = hash(hasher, message, sizeof *last + token_bytes, &out_keys[i]);
        last = &out_keys[i];
    }
    return status;
}

int key_chain(const struct key_hasher *hasher, const struct key *parent, const uint32_t *tokens,
    uint32_t block_tokens, size_t blocks, struct key *out_keys)
{
    size_t token_bytes = block_tokens * sizeof tokens[0];
    if (token_bytes <= SMALL_BYTES) {
        return chain_small(hasher, parent, tokens, token_bytes, blocks, out_keys);
    }
    EVP_MD_CTX *context = hasher->context;
    struct key last = *parent;
    for (size_t i = 0; i < blocks; i++) {
        unsigned length = sizeof last;
        if (EVP_MD_CTX_copy_ex(context, hasher->template) != 1 ||
            EVP_DigestUpdate(context, &last, sizeof last) != 1 ||
            EVP_DigestUpdate(context, tokens + i * block_tokens, token_bytes) != 1 ||
            EVP_DigestFinal_ex(context, (unsigned char *)&last, &length) != 1) {
            return STATUS_INTERNAL;
        }
        out_keys[i] = last;
    }
    return STATUS_OK;
}

int key_fold(const struct key_hasher *hasher, const struct key *root, const void *engine_hash,
    size_t hash_bytes, uint32_t group, struct key *out_key)
{
    assert(hash_bytes > 0 && hash_bytes <= KEY_HASH_MAX);
    unsigned char message[sizeof *root + sizeof group + KEY_HASH_MAX];
    memcpy(message, root, sizeof *root);
    memcpy(message + sizeof *root, &group, sizeof group);
    memcpy(message + sizeof *root + sizeof group, engine_hash, hash_bytes);
    return hash(hasher, message, sizeof *root + sizeof group + hash_bytes, out_key);
}
