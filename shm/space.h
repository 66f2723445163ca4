/* space: the namespace descriptor: all that must be equal for two blocks to be interchangeable.
 *
 * Filled by libclient/open, sent at the door, compared by sidecar/session/door, and hashed by
 * key.c: its digest starts every key chain. It is one fixed block of bytes, zero-filled,
 * little-endian, so that equal namespaces have equal bytes.
 */
#ifndef CISTERN_SHM_SPACE_H
#define CISTERN_SHM_SPACE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define SPACE_TEXT 64u
#define SPACE_MODEL 192u

struct space {
    char name[SPACE_TEXT]; /* what people call it; with the ranks it says which one is meant */
    char model[SPACE_MODEL]; /* identity and revision of the weights */
    char dtype[SPACE_TEXT];
    char layout[SPACE_TEXT]; /* for instance "layers,kv,tokens,heads,head_size" */
    char rope[SPACE_TEXT];
    char lora[SPACE_TEXT];
    char engine[SPACE_TEXT]; /* engine and version of its block format */
    char tenant[SPACE_TEXT];
    uint64_t block_bytes;
    uint32_t block_tokens;
    uint32_t layers;
    uint32_t heads;
    uint32_t head_size;
    uint32_t tp_rank;
    uint32_t tp_size;
    uint32_t pp_rank;
    uint32_t pp_size;
    /* HMAC of a fixed text under the tenant's secret, or zero: tells two secrets apart, not what
     * they are. Not part of the digest, which is keyed with the secret itself. */
    uint8_t secret_check[32];
};

static_assert(sizeof(struct space) == 7 * SPACE_TEXT + SPACE_MODEL + 8 + 8 * 4 + 32,
    "no padding: its bytes are hashed");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the words are hashed as they lie");

/* Is it well formed: texts terminated and zero-filled behind their end, counts in range?
 * Returns NULL, or what is wrong with it. */
const char *space_check(const struct space *space);

/* Do two descriptors speak of the same namespace: same name, tenant and ranks? */
bool space_same_name(const struct space *a, const struct space *b);

/* The name of the first field in which the two differ, or NULL if they are equal. */
const char *space_difference(const struct space *a, const struct space *b);

#endif
