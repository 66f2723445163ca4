/* fuzz_record: any bytes as a record's header and payload, and as a codec's payload: refused, or
 * decoded to exactly the bytes that the header speaks of, the same each time, reading nothing else.
 *
 * An input is a byte of flags, a header, and the payload.
 */
#include "tests/fuzz/target.h"

#include "shm/status.h"
#include "sidecar/tier/record.h"

#include <openssl/evp.h>
#include <string.h>
#include <xxhash.h>

#define FLAG_MEND 1u /* make the header's check right again: whoever forges one would */
#define FLAG_KEY 2u /* we have a key */
#define BYTES_MOST UINT64_C(65536)

static const enum codec codecs[] = {CODEC_RAW, CODEC_ZSTD, CODEC_FP16, CODEC_BF16, CODEC_INT8};

static const struct seal *seal_of(void)
{
    static struct seal seal;
    if (seal.cipher == NULL) {
        seal.cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
        memset(seal.key, 'k', sizeof seal.key);
        seal.check = 77;
    }
    return &seal;
}

static void mend(struct record_header *header)
{
    header->check = XXH3_64bits(header, offsetof(struct record_header, check));
}

size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room)
{
    static _Alignas(4096) uint8_t data[12288];
    static _Alignas(4096) uint8_t scratch[2 * sizeof data];
    bool sealed = check_random(state) % 3 == 0;
    struct record_rules rules = {.codec = codecs[check_random(state) % CHECK_COUNT(codecs)],
        .seal = sealed ? seal_of() : NULL};
    struct tier_block block = {.id.key.word = {check_random(state)},
        .shape = {(enum codec_type)(check_random(state) % 5), 64},
        .data = data,
        .bytes = (1 + check_random(state) % 24) * 512};
    struct record_header header;
    const void *payload = NULL;
    double error = 0;
    for (size_t i = 0; i < block.bytes; i++) {
        data[i] = (uint8_t)(check_random(state) & 0x3f);
    }
    target_must(record_scratch_bytes(&rules, block.bytes) <= sizeof scratch, "scratch");
    target_must(
        record_encode(&rules, &block, scratch, &header, &payload, &error) == STATUS_OK, "a record");
    size_t bytes = 1 + sizeof header + header.stored_bytes;
    target_must(bytes <= room, "room for a seed");
    out_data[0] = (uint8_t)((sealed ? FLAG_KEY : 0) | (check_random(state) & FLAG_MEND));
    memcpy(out_data + 1, &header, sizeof header);
    memcpy(out_data + 1 + sizeof header, payload, header.stored_bytes);
    return bytes;
}

/* Memory of exactly so many bytes, so that a sanitizer sees one too many. */
static uint8_t *memory_of(uint64_t bytes, uint8_t fill)
{
    uint8_t *memory = malloc(bytes == 0 ? 1 : bytes);
    target_must(memory != NULL, "memory");
    memset(memory, fill, bytes);
    return memory;
}

/* Decode with the same result whatever lay there before: no byte is handed out that was not set. */
static void decode_record(
    const struct record_rules *rules, const struct record_header *header, const uint8_t *payload)
{
    uint8_t *out[2];
    int status[2];
    for (int i = 0; i < 2; i++) {
        uint8_t fill = i == 0 ? 0x00 : 0xff;
        uint8_t *scratch = memory_of(record_scratch_bytes(rules, header->raw_bytes), fill);
        out[i] = memory_of(header->raw_bytes, fill);
        status[i] = record_decode(rules, header, payload, scratch, out[i], header->raw_bytes);
        target_must(
            status[i] == STATUS_OK || status[i] == STATUS_MALFORMED || status[i] == STATUS_DENIED,
            "decoded or refused");
        free(scratch);
    }
    target_must(status[0] == status[1], "the same answer");
    target_must(status[0] != STATUS_OK || memcmp(out[0], out[1], header->raw_bytes) == 0,
        "every byte was set");
    target_must(header->raw_bytes == 1 || record_decode(rules, header, payload, out[0], out[1],
                                              header->raw_bytes - 1) != STATUS_OK,
        "no more than there is room for");
    free(out[0]);
    free(out[1]);
}

/* Beneath all checksums: whoever has the key, or makes right sums, can send any payload. */
static void decode_codec(const struct record_header *header, const uint8_t *payload)
{
    struct codec_shape shape = {(enum codec_type)(header->type % 5), header->channels};
    enum codec codec = codecs[header->codec % CHECK_COUNT(codecs)];
    uint8_t *out[2];
    int status[2];
    for (int i = 0; i < 2; i++) {
        out[i] = memory_of(header->raw_bytes, i == 0 ? 0x00 : 0xff);
        status[i] =
            codec_decode(codec, shape, payload, header->stored_bytes, out[i], header->raw_bytes);
    }
    target_must(status[0] == status[1], "the same answer");
    target_must(status[0] != STATUS_OK || memcmp(out[0], out[1], header->raw_bytes) == 0,
        "every byte was set");
    free(out[0]);
    free(out[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct target_input input = {.at = data, .left = bytes};
    struct record_header raw;
    struct record_header header;
    uint8_t flags = target_take8(&input);
    target_take(&input, &raw, sizeof raw);
    if ((flags & FLAG_MEND) != 0) {
        mend(&raw);
    }
    struct record_rules rules = {
        .codec = CODEC_ZSTD, .seal = (flags & FLAG_KEY) != 0 ? seal_of() : NULL};
    int status = record_check(&raw, NULL, &header);
    if (status != STATUS_OK) {
        target_must(status == STATUS_MALFORMED || status == STATUS_VERSION, "refused");
        header = raw;
    }
    if (header.raw_bytes == 0 || header.raw_bytes > BYTES_MOST ||
        header.stored_bytes > header.raw_bytes || header.stored_bytes == 0) {
        target_must(status != STATUS_OK || header.raw_bytes > BYTES_MOST, "sizes make sense");
        return 0;
    }
    uint8_t *payload = memory_of(header.stored_bytes, 0);
    target_take(&input, payload, header.stored_bytes);
    if (status == STATUS_OK) {
        decode_record(&rules, &header, payload);
        (void)record_verify_first(&header, payload, header.raw_bytes);
    }
    decode_codec(&header, payload);
    free(payload);
    return 0;
}
