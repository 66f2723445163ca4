/* seal: AES-256-GCM over a payload, with a key from a file. Called by record; on any thread.
 *
 * Source: NIST SP 800-38D. A nonce is never used twice under one key: 12 random bytes for a record;
 * a key should see fewer than 2^32 records (the standard's bound for random nonces), which is
 * counted, and said in the log by the tier.
 */
#ifndef CISTERN_SIDECAR_TIER_SEAL_H
#define CISTERN_SIDECAR_TIER_SEAL_H

#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_BYTES 32u
#define SEAL_NONCE_BYTES 12u
#define SEAL_TAG_BYTES 16u

struct seal {
    void *cipher; /* EVP_CIPHER, fetched once */
    uint8_t key[SEAL_KEY_BYTES];
    uint32_t check; /* first bytes of HMAC(key, fixed text): names the key, does not show it */
};

/* Read a key file: exactly 32 bytes, or 64 hexadecimal digits and an optional newline; not readable
 * by group or others. Returns 0; STATUS_INVALID, STATUS_IO, STATUS_DENIED, and `why` with the
 * remedy. */
int seal_open(struct seal *out_seal, const char *path, char *why, size_t why_bytes);
void seal_close(struct seal *seal); /* the key is wiped */

/* Encrypt `bytes` into `out_data` (which may be `data`), `extra` being authenticated with it.
 * Fills the nonce and the tag. Returns 0 or STATUS_INTERNAL. */
int seal_lock(const struct seal *seal, const void *extra, size_t extra_bytes, const void *data,
    uint64_t bytes, void *out_data, uint8_t *out_nonce, uint8_t *out_tag);

/* The reverse. Returns 0, or STATUS_MALFORMED if anything was changed or the key is another one;
 * then nothing of `out_data` may be used. */
int seal_unlock(const struct seal *seal, const void *extra, size_t extra_bytes, const void *data,
    uint64_t bytes, const uint8_t *nonce, const uint8_t *tag, void *out_data);

#endif
