/* keys: names of blocks, from tokens or from an engine's own hashes. Needs no sidecar.
 *
 * The hasher's objects belong to the thread: OpenSSL's contexts are not shared, and looking the
 * digest up by name costs more than a hash. */
#include "libclient/core.h"
#include "libclient/hit.h"
#include "libclient/why.h"
#include "shm/key.h"
#include "shm/status.h"

#include <stdlib.h>

#define CHUNK 64u

static pthread_once_t hasher_once = PTHREAD_ONCE_INIT;
static pthread_key_t hasher_key;
static bool hasher_made;

static void close_hasher(void *hasher)
{
    key_close(hasher);
    free(hasher);
}

static void make_hasher_key(void)
{
    hasher_made = pthread_key_create(&hasher_key, close_hasher) == 0;
}

/* The calling thread's hasher, or NULL. */
static const struct key_hasher *hasher_of_thread(void)
{
    (void)pthread_once(&hasher_once, make_hasher_key);
    struct key_hasher *hasher = hasher_made ? pthread_getspecific(hasher_key) : NULL;
    if (hasher != NULL || !hasher_made) {
        return hasher;
    }
    hasher = malloc(sizeof *hasher);
    if (hasher == NULL) {
        return NULL;
    }
    if (key_open(hasher) != STATUS_OK) {
        free(hasher);
        return NULL;
    }
    if (pthread_setspecific(hasher_key, hasher) != 0) {
        close_hasher(hasher);
        return NULL;
    }
    return hasher;
}

/* What both calls begin with. */
static int begin(const struct cistern *handle, const struct key_hasher **out_hasher)
{
    if (core_is_forked(handle)) {
        return why_failed(STATUS_FORKED, "the handle was opened by the parent process");
    }
    const struct key_hasher *hasher = hasher_of_thread();
    if (hasher == NULL) {
        return why_failed(STATUS_NO_MEMORY, "no memory for a hasher");
    }
    *out_hasher = hasher;
    return STATUS_OK;
}

int cistern_keys(cistern_t *handle, const struct cistern_key *parent, const uint32_t *tokens,
    size_t token_count, struct cistern_key *out_keys, size_t *out_count)
{
    if (handle == NULL || out_count == NULL ||
        (token_count > 0 && (tokens == NULL || out_keys == NULL))) {
        return why_failed(STATUS_INVALID, "cistern_keys: an argument is NULL");
    }
    const struct key_hasher *hasher;
    int status = begin(handle, &hasher);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t block_tokens = handle->hello.space.block_tokens;
    size_t blocks = token_count / block_tokens;
    struct key last = parent == NULL ? handle->root : hit_key(parent);
    /* By way of an aligned chunk: a caller's keys are bytes. */
    struct key chunk[CHUNK];
    for (size_t done = 0; done < blocks;) {
        size_t count = blocks - done < CHUNK ? blocks - done : CHUNK;
        status = key_chain(hasher, &last, tokens + done * block_tokens, block_tokens, count, chunk);
        if (status != STATUS_OK) {
            return why_failed(status, "OpenSSL's SHA-256 failed");
        }
        memcpy(out_keys + done, chunk, count * sizeof chunk[0]);
        last = chunk[count - 1];
        done += count;
    }
    *out_count = blocks;
    return STATUS_OK;
}

int cistern_keys_from_hashes(cistern_t *handle, const void *hashes, size_t hash_bytes, size_t count,
    uint32_t group, struct cistern_key *out_keys)
{
    if (handle == NULL || (count > 0 && (hashes == NULL || out_keys == NULL))) {
        return why_failed(STATUS_INVALID, "cistern_keys_from_hashes: an argument is NULL");
    }
    if (hash_bytes == 0 || hash_bytes > KEY_HASH_MAX) {
        return why_failed(
            STATUS_INVALID, "a hash has %zu bytes, not 1 to %u", hash_bytes, KEY_HASH_MAX);
    }
    const struct key_hasher *hasher;
    int status = begin(handle, &hasher);
    const unsigned char *hash = hashes;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct key key;
        status = key_fold(hasher, &handle->root, hash + i * hash_bytes, hash_bytes, group, &key);
        if (status != STATUS_OK) {
            return why_failed(status, "OpenSSL's SHA-256 failed");
        }
        memcpy(&out_keys[i], &key, sizeof key);
    }
    return status;
}
