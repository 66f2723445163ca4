/* scenario_codec: what blocks at rest cost: each codec's ratio, rate and error; verifying, sealing.
 *
 * No sidecar, one core, CPU time; rates are of raw bytes. Blocks are drawn from a set of 16 MiB, so
 * that they come from memory as a spill's do. This scenario alone includes a part of the sidecar:
 * the record format has no other user interface.
 */
#include "bench/scenario.h"

#include "bench/clock.h"
#include "bench/kv_sample.h"
#include "bench/table.h"
#include "sidecar/tier/record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SET_BYTES (UINT64_C(16) << 20)
#define SIZES 2
#define PAGE UINT64_C(4096)

static const uint64_t sizes[SIZES] = {UINT64_C(64) << 10, UINT64_C(2) << 20};

static const struct row {
    const char *type_name;
    enum codec_type type;
    enum codec codec;
} rows[] = {
    {"float32", CODEC_FLOAT32, CODEC_ZSTD},
    {"float32", CODEC_FLOAT32, CODEC_FP16},
    {"float32", CODEC_FLOAT32, CODEC_BF16},
    {"float32", CODEC_FLOAT32, CODEC_INT8},
    {"float16", CODEC_FLOAT16, CODEC_ZSTD},
    {"float16", CODEC_FLOAT16, CODEC_INT8},
    {"bfloat16", CODEC_BFLOAT16, CODEC_ZSTD},
    {"bfloat16", CODEC_BFLOAT16, CODEC_INT8},
    {"float8", CODEC_FLOAT8, CODEC_ZSTD},
};

/* Blocks of one type and size, and what becomes of them. */
struct set {
    uint8_t *raw; /* owned, like the others */
    uint8_t *coded;
    uint8_t *back;
    uint64_t block_bytes;
    uint64_t coded_stride;
    uint64_t blocks;
    struct record_header *headers; /* of each block: its sizes and its proof */
};

struct result {
    double ratio;
    double encode_gbps;
    double decode_gbps;
    double error;
};

static double gbps(int64_t since_ns)
{
    int64_t took = clock_cpu_ns() - since_ns;
    return (double)SET_BYTES / (double)(took > 0 ? took : 1);
}

static void close_set(struct set *set)
{
    free(set->raw);
    free(set->coded);
    free(set->back);
    free(set->headers);
}

static bool open_set(uint64_t block_bytes, struct set *out_set)
{
    struct set set = {.block_bytes = block_bytes, .blocks = SET_BYTES / block_bytes};
    uint64_t bound = codec_bound(CODEC_ZSTD, block_bytes);
    set.coded_stride = (bound + PAGE - 1) / PAGE * PAGE;
    set.raw = aligned_alloc(PAGE, SET_BYTES);
    set.back = aligned_alloc(PAGE, SET_BYTES);
    set.coded = aligned_alloc(PAGE, set.coded_stride * set.blocks);
    set.headers = calloc(set.blocks, sizeof *set.headers);
    if (set.raw == NULL || set.back == NULL || set.coded == NULL || set.headers == NULL) {
        close_set(&set);
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    memset(set.back, 1, SET_BYTES); /* first touches are slow */
    memset(set.coded, 1, set.coded_stride * set.blocks);
    *out_set = set;
    return true;
}

static void fill_set(struct set *set, uint64_t seed, enum codec_type type)
{
    for (uint64_t i = 0; i < set->blocks; i++) {
        kv_sample_fill(seed + i, type, set->block_bytes, set->raw + i * set->block_bytes);
    }
}

static bool wrong(const char *what)
{
    fprintf(stderr, "cistern-bench: %s\n", what);
    return false;
}

/* Encode and decode all blocks once. */
static bool run_codec(struct set *set, const struct row *row, struct result *out_result)
{
    struct codec_shape shape = {row->type, KV_SAMPLE_CHANNELS};
    struct result result = {.error = 0};
    uint64_t coded_bytes = 0;
    int64_t start = clock_cpu_ns();
    for (uint64_t i = 0; i < set->blocks; i++) {
        struct record_header *header = &set->headers[i];
        enum codec codec = CODEC_RAW;
        double error = 0;
        if (codec_encode(row->codec, shape, set->raw + i * set->block_bytes, set->block_bytes,
                set->coded + i * set->coded_stride, &header->stored_bytes, &codec, &error) != 0) {
            return wrong("a codec failed");
        }
        header->codec = (uint8_t)codec;
        coded_bytes += header->stored_bytes;
        result.error = error > result.error ? error : result.error;
    }
    result.encode_gbps = gbps(start);
    start = clock_cpu_ns();
    for (uint64_t i = 0; i < set->blocks; i++) {
        const struct record_header *header = &set->headers[i];
        bool raw = header->codec == CODEC_RAW;
        const uint8_t *payload =
            raw ? set->raw + i * set->block_bytes : set->coded + i * set->coded_stride;
        if (codec_decode((enum codec)header->codec, shape, payload, header->stored_bytes,
                set->back + i * set->block_bytes, set->block_bytes) != 0) {
            return wrong("a codec did not understand itself");
        }
    }
    result.decode_gbps = gbps(start);
    result.ratio = (double)SET_BYTES / (double)coded_bytes;
    if (result.error == 0 && memcmp(set->raw, set->back, SET_BYTES) != 0) {
        return wrong("a lossless codec lost something");
    }
    *out_result = result;
    return true;
}

/* Make records of all blocks and read them back, in place where that is possible. */
static bool run_record(struct set *set, const struct seal *seal, struct result *out_result)
{
    struct record_rules rules = {.codec = CODEC_RAW, .seal = seal};
    struct result result = {.ratio = 1};
    int64_t start = clock_cpu_ns();
    for (uint64_t i = 0; i < set->blocks; i++) {
        struct tier_block block = {
            .id.key.word = {i}, .data = set->raw + i * set->block_bytes, .bytes = set->block_bytes};
        const void *payload = NULL;
        double error = 0;
        if (record_encode(&rules, &block, set->coded + i * set->coded_stride, &set->headers[i],
                &payload, &error) != 0) {
            return wrong("a record failed");
        }
    }
    result.encode_gbps = gbps(start);
    start = clock_cpu_ns();
    for (uint64_t i = 0; i < set->blocks; i++) {
        uint8_t *raw = set->raw + i * set->block_bytes;
        const uint8_t *payload = seal == NULL ? raw : set->coded + i * set->coded_stride;
        uint8_t *back = seal == NULL ? raw : set->back + i * set->block_bytes;
        if (record_decode(&rules, &set->headers[i], payload, NULL, back, set->block_bytes) != 0) {
            return wrong("a record was not proved");
        }
    }
    result.decode_gbps = gbps(start);
    *out_result = result;
    return true;
}

/* Medians over the runs; exactly one of `row` and `rules` says what. */
static bool measure(const struct options *options, struct set *set, const struct row *row,
    const struct seal *seal, struct result *out_result)
{
    struct stats encode = {.samples = NULL};
    struct stats decode = {.samples = NULL};
    struct result result = {.ratio = 1};
    bool good = stats_open(&encode, options->runs) && stats_open(&decode, options->runs);
    for (uint64_t run = 0; good && run < options->runs; run++) {
        good = row != NULL ? run_codec(set, row, &result) : run_record(set, seal, &result);
        stats_add(&encode, result.encode_gbps);
        stats_add(&decode, result.decode_gbps);
    }
    if (good) {
        result.encode_gbps = stats_median(&encode);
        result.decode_gbps = stats_median(&decode);
        *out_result = result;
    }
    stats_close(&encode);
    stats_close(&decode);
    return good;
}

static void publish(struct table *table, cJSON *parent, const char *type, const char *what,
    uint64_t block_bytes, const struct result *result)
{
    char key[64];
    snprintf(key, sizeof key, "%s_%s_%llu", type, what, (unsigned long long)block_bytes);
    cJSON *object = report_object(parent, key);
    report_number(object, "ratio", result->ratio);
    report_number(object, "encode_gbps", result->encode_gbps);
    report_number(object, "decode_gbps", result->decode_gbps);
    report_number(object, "error", result->error);
    table_row(table);
    table_cell(table, 0, "%s, %s, %llu KiB", type, what, (unsigned long long)(block_bytes >> 10));
    table_cell(table, 1, "%.3f", result->ratio);
    table_cell(table, 2, "%.2f", result->encode_gbps);
    table_cell(table, 3, "%.2f", result->decode_gbps);
    table_cell(table, 4, "%.5f", result->error);
}

/* A key that nobody keeps, from a file that has no name. */
static bool open_seal(struct seal *out_seal)
{
    char path[64];
    char why[256] = "no memory for a key";
    uint8_t key[SEAL_KEY_BYTES] = {42};
    int file = memfd_create("key", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    bool good = file >= 0 && fchmod(file, 0400) == 0 &&
                write(file, key, sizeof key) == (ssize_t)sizeof key &&
                seal_open(out_seal, path, why, sizeof why) == 0;
    if (file >= 0) {
        close(file);
    }
    return good || wrong(why);
}

static bool run_size(const struct options *options, const struct seal *seal, uint64_t block_bytes,
    struct table *table, cJSON *parent)
{
    struct set set;
    struct result result;
    enum codec_type filled = CODEC_OPAQUE;
    if (!open_set(block_bytes, &set)) {
        return false;
    }
    bool good = true;
    for (size_t i = 0; good && i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].type != filled) {
            fill_set(&set, options->seed, rows[i].type);
            filled = rows[i].type;
        }
        good = measure(options, &set, &rows[i], NULL, &result);
        if (good) {
            publish(
                table, parent, rows[i].type_name, codec_name(rows[i].codec), block_bytes, &result);
        }
    }
    const struct seal *const seals[] = {NULL, seal};
    for (size_t i = 0; good && i < 2; i++) {
        good = measure(options, &set, NULL, seals[i], &result);
        if (good) {
            publish(
                table, parent, "raw", seals[i] == NULL ? "verify" : "seal", block_bytes, &result);
        }
    }
    close_set(&set);
    return good;
}

bool scenario_codec(const struct options *options, struct report *report)
{
    static const char *const columns[TABLE_COLUMNS] = {
        "type, what, block", "ratio", "encode (GB/s)", "decode (GB/s)", "largest error"};
    struct table table;
    struct seal seal;
    if (!open_seal(&seal)) {
        return false;
    }
    report_text(report->root, "unit", "gbps: 10^9 raw bytes a second of CPU time, one core");
    report_number(report->root, "runs", (double)options->runs);
    cJSON *codecs = report_object(report->root, "codecs");
    table_start_columns(&table, columns);
    bool good = true;
    for (int i = 0; good && i < SIZES; i++) {
        good = run_size(options, &seal, sizes[i], &table, codecs);
    }
    if (good) {
        fputs("\ncodec: blocks at rest, one core, CPU time; synthetic KV\n\n", report->people);
        table_print(&table, report->people);
        fputs("\n  medians; the error is that of the worst channel: largest |x - x'| / |x|\n",
            report->people);
    }
    seal_close(&seal);
    return good;
}
