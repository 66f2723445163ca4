/* engine_worker: an inference worker as a process, asked by a line and answering by one.
 *
 * Called by scenario_engine, and by tests/engines. The lines are those of
 * bench/engines/llama/request.h. Always: a wait has a deadline, and a worker does not outlive its
 * parent.
 */
#ifndef CISTERN_BENCH_ENGINE_WORKER_H
#define CISTERN_BENCH_ENGINE_WORKER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define ENGINE_WORKER_TOKENS_MAX 64u

struct engine_worker {
    pid_t pid; /* 0: not running */
    FILE *to; /* its standard input */
    int from; /* its standard output */
    char *line; /* owned: what came, and was not asked for yet */
    size_t bytes, room;
    uint32_t vocabulary;
    uint64_t block_bytes; /* 0: its model keeps nothing that could be cut */
    char space[64]; /* its namespace */
};

struct engine_answer {
    uint32_t prompt_tokens, reused_tokens;
    uint32_t fetched_blocks, refused_blocks, stored_blocks;
    double import_ms, compute_ms, store_ms, first_ms, generate_ms;
    char logits[24]; /* a sum: equal if the logits of the first token are, bit by bit */
    uint32_t token_count;
    int32_t tokens[ENGINE_WORKER_TOKENS_MAX];
};

/* Run argv[0], and wait until it says that it is ready. Its errors go to `error_fd` (-1: ours).
 * Returns false after a line on stderr. */
bool engine_worker_start(
    char *const argv[], int error_fd, int64_t timeout_ns, struct engine_worker *out_worker);

/* Send a request, which is printed; the answer is awaited by engine_worker_answer(). */
bool engine_worker_ask(struct engine_worker *worker, const cJSON *request);

/* Returns false, after a line on stderr, if it answers with an error, something else, too late, or
 * not at all. */
bool engine_worker_answer(
    struct engine_worker *worker, int64_t timeout_ns, struct engine_answer *out_answer);

/* kill -9, and wait for its end. */
void engine_worker_kill(struct engine_worker *worker);

/* Close its input, and wait for its end; kill it if that does not come. Returns its exit status;
 * -1 if it was killed. Accepts one that never started. */
int engine_worker_stop(struct engine_worker *worker);

#endif
