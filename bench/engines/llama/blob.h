/* blob: the bytes that llama_state_seq_get_data() gives for a range of tokens.
 *
 * Called by block (what a slot holds) and stitch (what is imported); knows no engine. All numbers
 * little-endian, as the engine writes them on the machines that we run on:
 *
 *     u32 magic, i32 sequence
 *     per part:  u32 streams; per stream: u32 cells, and nothing more if that is 0
 *         per cell:  i32 position, u32 sequences (1), i32 sequence
 *         u32 V transposed (0), u32 layers
 *         per run:   i32 type, u64 row bytes, cells × row bytes;    all of K first, then all of V
 *
 * A part is one cache of the engine: models with a sliding window have two, the second one keeps
 * the window alone. Always: no length or count of foreign bytes is used as one; all are worked out
 * from the shape, which was learnt from this process's own engine, and must be equal to it.
 */
#ifndef CISTERN_BENCH_ENGINES_LLAMA_BLOB_H
#define CISTERN_BENCH_ENGINES_LLAMA_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BLOB_PARTS_MAX 2u
#define BLOB_RUNS_MAX 1024u
#define BLOB_ROW_BYTES_MAX (UINT64_C(1) << 20)
#define BLOB_TOKENS_MAX (1u << 22)
#define BLOB_SEQUENCE 1 /* ranges are exported from this sequence */

#define BLOB_START_BYTES 8u /* magic, sequence */
#define BLOB_PART_BYTES 4u /* streams */
#define BLOB_STREAM_BYTES 4u /* cells */
#define BLOB_CELL_BYTES 12u
#define BLOB_RUNS_BYTES 8u /* V transposed, layers */
#define BLOB_RUN_BYTES 12u /* type, row bytes */

/* One layer's K, or its V. */
struct blob_run {
    int32_t type; /* the engine's number for it */
    uint64_t row_bytes; /* of a token */
};

struct blob_part {
    uint32_t window; /* later tokens see this many, themselves included; 0: all before them */
    uint32_t layers;
    uint32_t run_count; /* layers, or twice as many */
    struct blob_run runs[BLOB_RUNS_MAX];
};

/* What is equal for all blobs of an engine. Large: a shape belongs to the engine's owner, and is
 * lent by pointer. */
struct blob_shape {
    uint32_t part_count;
    struct blob_part parts[BLOB_PARTS_MAX];
};

/* Cells of `part` in the blob of a block of `tokens` tokens: its last ones. */
static inline uint32_t blob_cells(const struct blob_part *part, uint32_t tokens)
{
    return part->window == 0 || tokens < part->window ? tokens : part->window;
}

/* Bytes of a part with `cells` cells in one of `streams` streams. */
uint64_t blob_part_bytes(const struct blob_part *part, uint32_t cells, uint32_t streams);

/* Bytes of the blob of a block of `tokens` tokens. */
uint64_t blob_bytes(const struct blob_shape *shape, uint32_t tokens);

/* Learn the shape from what this process's engine exported for the positions 0 to `tokens` - 1.
 *
 * parts      how many caches the engine has
 * window     what the last one keeps, in tokens, at least `tokens`; 0: all
 * Returns false if the engine keeps something else than rows of K and V by token (transposed V,
 * two-dimensional positions, a recurrent state): its blocks cannot be cut. */
bool blob_learn(const uint8_t *data, uint64_t bytes, uint32_t tokens, uint32_t parts,
    uint32_t window, struct blob_shape *out_shape);

/* Is this the blob of the positions `first` to `first` + `tokens` - 1? Looks at everything but the
 * rows. Returns NULL, or what is wrong with it. */
const char *blob_check(const struct blob_shape *shape, uint32_t first, uint32_t tokens,
    const uint8_t *data, uint64_t bytes);

/* Where the rows of part `part` begin in the blob of a block of `tokens` tokens: those of run `run`
 * at `run` × (BLOB_RUN_BYTES) and the rows before it behind this. */
uint64_t blob_runs_offset(const struct blob_shape *shape, uint32_t part, uint32_t tokens);

/* Write what stands before the runs of a part: `cells` cells from position `first` on in stream
 * `stream` of `streams`. Returns the place behind it, or behind the whole part if it has no
 * cells. */
uint8_t *blob_put_cells(const struct blob_part *part, uint32_t first, uint32_t cells,
    uint32_t streams, uint32_t stream, uint8_t *out_data);

/* The magic and the sequence number. Returns the place behind them. */
uint8_t *blob_put_start(uint8_t *out_data);

static inline uint32_t blob_get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t blob_get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint8_t *blob_put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline uint8_t *blob_put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

#endif
