/* record: see record.h. */
#include "sidecar/tier/record.h"

#include "shm/status.h"

#include <string.h>
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* the same hash by the widest vectors of this processor */
#endif

#define PAGE UINT64_C(4096)
#define RAW_BYTES_MAX UINT64_C(0xffffffff)
#define PART_HASH_BYTES 12u

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "headers are written as they lie");
static_assert(SEAL_TAG_BYTES == sizeof(struct record_root), "the tag takes the root's place");
static_assert(sizeof(struct tier_id) == 64, "two digests");
static_assert(PART_HASH_BYTES * RECORD_PARTS == sizeof((struct record_header *)0)->parts, "parts");

/* The hashes of all parts of a payload. */
struct part_hashes {
    XXH128_canonical_t part[RECORD_PARTS];
    uint32_t count;
};

/* What the root is made from: the named fields, then the parts' hashes. And what a seal
 * authenticates: the named fields, then which key. */
struct named {
    uint8_t fields[RECORD_NAMED_BYTES];
    uint8_t more[sizeof(XXH128_canonical_t) * RECORD_PARTS];
};

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

uint64_t record_part_bytes(uint64_t stored_bytes)
{
    uint64_t part = round_up((stored_bytes + RECORD_PARTS - 1) / RECORD_PARTS);
    return part < RECORD_PART_BYTES_LEAST ? RECORD_PART_BYTES_LEAST : part;
}

uint64_t record_scratch_bytes(const struct record_rules *rules, uint64_t bytes)
{
    if (rules->codec == CODEC_RAW) {
        return rules->seal == NULL ? 0 : round_up(bytes);
    }
    return round_up(codec_bound(rules->codec, bytes));
}

static XXH128_canonical_t hash_part(const uint8_t *part, uint64_t bytes)
{
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(part, bytes));
    return hash;
}

/* Hash each part, and copy it while it is in the cache if `out_data` is another place. */
static void hash_parts(
    const uint8_t *payload, uint64_t bytes, uint8_t *out_data, struct part_hashes *out_hashes)
{
    uint64_t step = record_part_bytes(bytes);
    uint32_t count = 0;
    for (uint64_t at = 0; at < bytes; at += step) {
        uint64_t part = bytes - at < step ? bytes - at : step;
        assert(count < RECORD_PARTS);
        out_hashes->part[count++] = hash_part(payload + at, part);
        if (out_data != payload) {
            memcpy(out_data + at, payload + at, part);
        }
    }
    out_hashes->count = count;
}

static struct record_root root_of(
    const struct record_header *header, const struct part_hashes *hashes)
{
    struct named named;
    struct record_root root;
    size_t more = hashes->count * sizeof hashes->part[0];
    memcpy(named.fields, header, sizeof named.fields);
    memcpy(named.more, hashes->part, more);
    XXH128_canonical_t hash = hash_part((const uint8_t *)&named, sizeof named.fields + more);
    memcpy(root.bytes, hash.digest, sizeof root.bytes);
    return root;
}

/* What a seal authenticates beside the payload. Returns its bytes. */
static size_t extra_of(const struct record_header *header, struct named *out_named)
{
    memcpy(out_named->fields, header, sizeof out_named->fields);
    memcpy(out_named->more, &header->key_check, sizeof header->key_check);
    return sizeof out_named->fields + sizeof header->key_check;
}

static uint64_t check_of(const struct record_header *header)
{
    return XXH3_64bits(header, offsetof(struct record_header, check));
}

/* Encrypt the payload into the scratch memory, where it may lie already. */
static int seal_payload(
    const struct seal *seal, struct record_header *header, const void *payload, void *scratch)
{
    struct named named;
    header->flags |= RECORD_SEALED;
    header->key_check = seal->check;
    size_t extra = extra_of(header, &named);
    return seal_lock(seal, &named, extra, payload, header->stored_bytes, scratch, header->nonce,
        header->root.bytes);
}

static void describe_parts(struct record_header *header, const uint8_t *payload)
{
    struct part_hashes hashes;
    hash_parts(payload, header->stored_bytes, (uint8_t *)(uintptr_t)payload, &hashes);
    header->root = root_of(header, &hashes);
    for (uint32_t i = 0; i < hashes.count; i++) {
        memcpy(header->parts + i * PART_HASH_BYTES, hashes.part[i].digest, PART_HASH_BYTES);
    }
}

int record_encode(const struct record_rules *rules, const struct tier_block *block, void *scratch,
    struct record_header *out_header, const void **out_payload, double *out_error)
{
    struct record_header header = {.magic = RECORD_MAGIC,
        .version = RECORD_VERSION,
        .type = (uint8_t)block->shape.type,
        .channels = block->shape.channels,
        .raw_bytes = block->bytes};
    enum codec codec = CODEC_RAW;
    double error = 0;
    assert(block->bytes > 0 && block->bytes <= RAW_BYTES_MAX);
    int status = codec_encode(rules->codec, block->shape, block->data, block->bytes, scratch,
        &header.stored_bytes, &codec, &error);
    if (status != STATUS_OK) {
        return status;
    }
    header.codec = (uint8_t)codec;
    memcpy(header.space, block->id.space, sizeof header.space);
    memcpy(header.key, &block->id.key, sizeof header.key);
    const void *payload = codec == CODEC_RAW ? block->data : scratch;
    if (rules->seal != NULL) {
        status = seal_payload(rules->seal, &header, payload, scratch);
        if (status != STATUS_OK) {
            return status;
        }
        payload = scratch;
    } else {
        describe_parts(&header, payload);
    }
    if (payload == scratch) { /* what lay there before is nobody's business */
        uint64_t padding = round_up(header.stored_bytes) - header.stored_bytes;
        memset((uint8_t *)scratch + header.stored_bytes, 0, padding);
    }
    header.check = check_of(&header);
    *out_header = header;
    *out_payload = payload;
    *out_error = error;
    return STATUS_OK;
}

static bool all_zero(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint8_t any = 0;
    for (size_t i = 0; i < bytes; i++) {
        any |= at[i];
    }
    return any == 0;
}

/* Do the fields make sense together? A right check does not say so: anybody can make one. */
static bool is_sane(const struct record_header *header)
{
    bool sealed = (header->flags & RECORD_SEALED) != 0;
    bool sizes = header->codec == CODEC_RAW ? header->stored_bytes == header->raw_bytes
                                            : header->stored_bytes < header->raw_bytes;
    bool proof = sealed ? all_zero(header->parts, sizeof header->parts)
                        : header->key_check == 0 && all_zero(header->nonce, sizeof header->nonce);
    return header->codec <= CODEC_INT8 && header->type <= CODEC_FLOAT8 &&
           (header->flags & ~RECORD_SEALED) == 0 && header->raw_bytes > 0 &&
           header->raw_bytes <= RAW_BYTES_MAX && header->stored_bytes > 0 && sizes && proof &&
           all_zero(header->zero, sizeof header->zero);
}

int record_check(const void *bytes, const struct tier_id *id, struct record_header *out_header)
{
    struct record_header header;
    memcpy(&header, bytes, sizeof header);
    if (header.magic != RECORD_MAGIC || header.check != check_of(&header)) {
        return STATUS_MALFORMED;
    }
    if (header.version != RECORD_VERSION) {
        return STATUS_VERSION;
    }
    if (!is_sane(&header)) {
        return STATUS_MALFORMED;
    }
    if (id != NULL && (memcmp(header.space, id->space, sizeof header.space) != 0 ||
                          memcmp(header.key, &id->key, sizeof header.key) != 0)) {
        return STATUS_MISS;
    }
    *out_header = header;
    return STATUS_OK;
}

/* A payload that was verified, to the block. */
static int decode_payload(const struct record_header *header, const void *payload, void *out_data)
{
    struct codec_shape shape = {
        .type = (enum codec_type)header->type, .channels = header->channels};
    return codec_decode((enum codec)header->codec, shape, payload, header->stored_bytes, out_data,
        header->raw_bytes);
}

static int decode_sealed(const struct seal *seal, const struct record_header *header,
    const void *payload, void *scratch, void *out_data)
{
    struct named named;
    bool raw = header->codec == CODEC_RAW;
    void *opened = raw ? out_data : scratch;
    size_t extra = extra_of(header, &named);
    int status = seal_unlock(seal, &named, extra, payload, header->stored_bytes, header->nonce,
        header->root.bytes, opened);
    if (status != STATUS_OK || raw) {
        return status;
    }
    return decode_payload(header, opened, out_data);
}

static int decode_open(const struct record_header *header, const void *payload, void *out_data)
{
    struct part_hashes hashes;
    bool raw = header->codec == CODEC_RAW;
    /* Parts are only read where they lie, unless they are to be copied. */
    uint8_t *copy = raw ? out_data : (uint8_t *)(uintptr_t)payload;
    hash_parts(payload, header->stored_bytes, copy, &hashes);
    struct record_root root = root_of(header, &hashes);
    if (memcmp(&root, &header->root, sizeof root) != 0) {
        return STATUS_MALFORMED;
    }
    return raw ? STATUS_OK : decode_payload(header, payload, out_data);
}

int record_decode(const struct record_rules *rules, const struct record_header *header,
    const void *payload, void *scratch, void *out_data, uint64_t room)
{
    bool sealed = (header->flags & RECORD_SEALED) != 0;
    if (sealed != (rules->seal != NULL) || (sealed && header->key_check != rules->seal->check)) {
        return STATUS_DENIED;
    }
    if (header->raw_bytes > room) {
        return STATUS_TOO_LARGE;
    }
    return sealed ? decode_sealed(rules->seal, header, payload, scratch, out_data)
                  : decode_open(header, payload, out_data);
}

int record_verify_first(const struct record_header *header, const void *payload, uint64_t bytes)
{
    if (header->codec != CODEC_RAW || (header->flags & RECORD_SEALED) != 0) {
        return STATUS_UNSUPPORTED;
    }
    uint64_t stored = header->stored_bytes;
    uint64_t step = record_part_bytes(stored);
    uint64_t wanted = bytes < stored ? bytes : stored;
    uint32_t index = 0;
    for (uint64_t at = 0; at < wanted; at += step) {
        uint64_t part = stored - at < step ? stored - at : step;
        XXH128_canonical_t hash = hash_part((const uint8_t *)payload + at, part);
        if (memcmp(hash.digest, header->parts + index * PART_HASH_BYTES, PART_HASH_BYTES) != 0) {
            return STATUS_MALFORMED;
        }
        index++;
    }
    return STATUS_OK;
}
