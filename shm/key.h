/* key: 32-byte names of blocks, chained from a namespace.
 *
 *   root   = SHA-256(namespace descriptor), or HMAC-SHA-256 of it under the tenant's secret
 *   key[i] = SHA-256(key[i-1] ‖ tokens of block i, uint32 little-endian), key[-1] = root
 *   or, from an engine's own hashes: key = SHA-256(root ‖ group, uint32 ‖ hash)
 *
 * Called by libclient/keys. OpenSSL's digests allocate a little inside, so hashing is not part of
 * the hit path, which starts at keys. One hasher a thread: it is not shared.
 */
#ifndef CISTERN_SHM_KEY_H
#define CISTERN_SHM_KEY_H

#include "shm/layout.h"
#include "shm/space.h"

#include <stddef.h>
#include <stdint.h>

#define KEY_HASH_MAX 64u /* bytes of an engine's hash */

/* OpenSSL's objects, fetched once: a search by name costs more than the hash, and takes a lock. */
struct key_hasher {
    void *digest; /* EVP_MD */
    void *template; /* EVP_MD_CTX, initialised; copied for each hash */
    void *context; /* EVP_MD_CTX */
};

/* Returns 0 or STATUS_NO_MEMORY. */
int key_open(struct key_hasher *out_hasher);
void key_close(struct key_hasher *hasher);

/* The root of a namespace's chains; `secret_bytes` 0: no secret. Returns 0 or STATUS_INTERNAL. */
int key_root(const struct key_hasher *hasher, const struct space *space, const void *secret,
    size_t secret_bytes, struct key *out_root);

/* Fill `out_check` (32 bytes) from the secret, as space.secret_check says. Returns as key_root. */
int key_secret_check(const void *secret, size_t secret_bytes, uint8_t *out_check);

/* Keys of `blocks` blocks of `block_tokens` tokens each, the first one's parent being `parent`.
 * Returns 0 or STATUS_INTERNAL. */
int key_chain(const struct key_hasher *hasher, const struct key *parent, const uint32_t *tokens,
    uint32_t block_tokens, size_t blocks, struct key *out_keys);

/* The key of an engine's hash of `hash_bytes` (at most KEY_HASH_MAX) in its group.
 * Returns 0 or STATUS_INTERNAL. */
int key_fold(const struct key_hasher *hasher, const struct key *root, const void *engine_hash,
    size_t hash_bytes, uint32_t group, struct key *out_key);

#endif
