/* trace: requests to replay, from public trace files. Called by scenario_reuse.
 *
 * Two formats of JSON lines, one internal form:
 *   agent logs   {"timestamp": µs, "input": "the whole prompt", "session_id": "…", …}: text, cut
 *                into tokens by bench/tokenizer. Lines of a run are put in order of time, and all
 *                runs start together: one run's turns follow each other, different runs compete.
 *   hashes       {"timestamp": ms, "input_length": tokens, "hash_ids": [one a block], …}
 * Always: requests are in order of arrival; a line that is not as above is refused by file, line
 * and field, and nothing of the trace is used.
 */
#ifndef CISTERN_BENCH_TRACE_H
#define CISTERN_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_NONE UINT32_MAX
#define TRACE_BLOCK_TOKENS_TEXT 64u
#define TRACE_BLOCK_TOKENS_HASHES 512u

enum trace_format { TRACE_TEXT, TRACE_HASHES };

struct trace_request {
    int64_t arrival_us; /* since the trace began */
    uint64_t input_tokens;
    uint64_t first; /* where its tokens (text) or hashes begin in `words` */
    uint64_t first_block; /* where its blocks begin in `blocks` */
    uint32_t block_count; /* blocks that have a key: full ones (text), all (hashes) */
    uint32_t run; /* number of its session */
    uint32_t previous; /* the request of the same run before it, or TRACE_NONE */
    uint32_t line; /* keeps equal arrivals in the order of the file */
};

/* Everything is owned. After trace_open() it is only read, also by forked workers. */
struct trace {
    enum trace_format format;
    uint32_t block_tokens;
    uint32_t run_count;
    struct trace_request *requests;
    size_t request_count;
    uint32_t *tokens; /* TRACE_TEXT */
    uint64_t *hashes; /* TRACE_HASHES: each already stands for its whole prefix */
    uint32_t *blocks; /* number of each block reference's block, 0 to unique - 1 */
    uint64_t block_references;
    uint64_t unique;
    uint64_t input_tokens;
    uint32_t longest_blocks; /* of a request; at least 1 */
};

/* Read a file, or the *.jsonl of a folder. `block_tokens` 0: the format's default.
 * Returns false after one line on stderr: file, line, field and what is wrong with it. */
bool trace_open(const char *path, uint32_t block_tokens, struct trace *out_trace);

void trace_close(struct trace *trace);

#endif
