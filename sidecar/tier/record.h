/* record: a block outside the pool: a header that proves it, and a payload.
 *
 *   ┌ header, 256 bytes ───────────────────────────────────────────────┬ payload ──────────────┐
 *   │ magic, version, codec, name, sizes, root, 8 part checksums, check │ part 0 │ part 1 │ …   │
 *   └───────────────────────────────────────────────────────────────────┴───────────────────────┘
 *
 * Called by the tiers and, later, by the links between hosts; on any thread, no shared state. The
 * payload is cut into at most RECORD_PARTS parts of equal size, so that the first layers of a block
 * can be verified before the rest is there. Each part has an XXH3-128; the root is the XXH3-128 of
 * the header's fields before it (RECORD_NAMED_BYTES: codec, shape, sizes, name) and of all parts':
 * whoever keeps those fields, the root, and the nonce needs no header to verify a payload. Where
 * encryption is on, the root is the AES-256-GCM tag of the whole payload, the same fields and
 * key_check are its additional data, and there are no parts.
 *
 * Always: raw_bytes == stored_bytes where the codec is raw, and stored_bytes < raw_bytes elsewhere,
 * so that a payload is never larger than its block.
 */
#ifndef CISTERN_SIDECAR_TIER_RECORD_H
#define CISTERN_SIDECAR_TIER_RECORD_H

#include "sidecar/tier/seal.h"
#include "sidecar/tier/tier.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_MAGIC UINT32_C(0x4b4c4243) /* "CBLK" */
#define RECORD_VERSION 1u
#define RECORD_HEADER_BYTES 256u
#define RECORD_PARTS 8u
#define RECORD_PART_BYTES_LEAST 65536u /* a part is a multiple of 4096, and no smaller than this */

struct record_root {
    uint8_t bytes[16];
};

/* As it lies on disk and on the wire; little-endian, no padding. */
struct record_header {
    uint32_t magic;
    uint16_t version;
    uint8_t codec; /* enum codec: as it was really encoded */
    uint8_t type; /* enum codec_type of the raw bytes */
    uint32_t channels;
    uint32_t flags; /* RECORD_SEALED */
    uint64_t raw_bytes;
    uint64_t stored_bytes; /* of the payload, without padding */
    uint8_t space[32];
    uint8_t key[32];
    struct record_root root;
    uint8_t nonce[12]; /* sealed: AES-GCM's; else 0 */
    uint32_t key_check; /* sealed: tells a wrong key from a torn record; else 0 */
    uint8_t parts[96]; /* sealed: 0; else the first 12 bytes of each part's XXH3-128 */
    uint64_t zero[3];
    uint64_t check; /* XXH3-64 of all bytes before it */
};

#define RECORD_SEALED 1u
#define RECORD_NAMED_BYTES 96u

static_assert(offsetof(struct record_header, root) == RECORD_NAMED_BYTES, "the root covers these");
static_assert(sizeof(struct record_header) == RECORD_HEADER_BYTES, "no padding on disk");

/* How a tier writes and reads its records. */
struct record_rules {
    enum codec codec; /* what to try */
    const struct seal *seal; /* NULL: not encrypted */
};

/* Scratch memory that record_encode() or record_decode() needs for blocks of up to `bytes`; 0 if
 * the rules are raw and unsealed: then the payload is the block itself, no copy. A record that
 * was written under another codec needs no more to be read: what decoding needs is there where
 * the rules have a key, and nothing is needed where they have none. */
uint64_t record_scratch_bytes(const struct record_rules *rules, uint64_t bytes);

/* Encode, seal and describe a block. `scratch` as record_scratch_bytes() says, 4096-byte aligned.
 * `*out_payload` lies in the block's own memory or in the scratch; behind its stored bytes there
 * is readable memory up to the next multiple of 4096.
 * Returns 0 or STATUS_INTERNAL. */
int record_encode(const struct record_rules *rules, const struct tier_block *block, void *scratch,
    struct record_header *out_header, const void **out_payload, double *out_error);

/* Is this a header of ours, whole, of this version, under this name? Foreign bytes. The magic, the
 * version, and a check of the first 256 bytes in the last 8 of them stay where they are in all
 * versions, so that a flipped version is told from another one.
 * Returns 0; STATUS_MALFORMED: torn, flipped or no header; STATUS_VERSION: of another format;
 * STATUS_MISS: a good header of another block. `id` NULL: any name. */
int record_check(const void *bytes, const struct tier_id *id, struct record_header *out_header);

/* Verify a payload against a checked header, and decode it to `out_data`. If the record is raw and
 * not sealed, `payload` may be `out_data` itself: then nothing is copied. Of the checksums only the
 * root is looked at: a header rebuilt from a catalog that keeps roots (and nonces) does as well.
 * Returns 0; STATUS_MALFORMED: not what was stored; STATUS_DENIED: sealed with another key, or
 * sealed and these rules have none, or the reverse; STATUS_TOO_LARGE: `room` is too small. */
int record_decode(const struct record_rules *rules, const struct record_header *header,
    const void *payload, void *scratch, void *out_data, uint64_t room);

/* The size of each part but the last. */
uint64_t record_part_bytes(uint64_t stored_bytes);

/* Verify the first bytes of a raw, unsealed record: whole parts that cover `bytes`.
 * Returns 0, STATUS_MALFORMED, or STATUS_UNSUPPORTED (coded or sealed: read all of it). */
int record_verify_first(const struct record_header *header, const void *payload, uint64_t bytes);

#endif
