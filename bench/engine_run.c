/* engine_run: see the header. */
#include "bench/engine_run.h"

#include "bench/client.h"
#include "bench/clock.h"
#include "bench/content.h"
#include "bench/pin_cpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_NS (120 * CLOCK_NS_PER_S)
#define SLOT_MIN_BYTES (UINT64_C(64) << 10)
#define PROMPTS 4u /* that the pool has room for */
#define POOL_LEAST_BYTES (UINT64_C(128) << 20)
#define COLD_BYTES (UINT64_C(4) << 30)
#define FLOOD_PARTS 8
#define FLOOD_USES 4
#define FLOOD_GAP_NS (20 * CLOCK_NS_PER_MS)
#define MODEL_NAME "gemma-3-270m-q4_k_m.gguf"

bool engine_run_find(const struct options *options, struct engine_run *out_run)
{
    static const char fetched[] = BENCH_LLAMA_FOLDER "/" MODEL_NAME;
    struct engine_run run = {.options = options};
    const char *model = options->model_path == NULL ? fetched : options->model_path;
    /* The worker is built where libllama is. */
    if (realpath(model, run.model) == NULL) {
        fprintf(
            stderr, "cistern-bench: no model at %s; bench/engines/llama/fetch gets one\n", model);
        return false;
    }
    if (!process_find(NULL, "engines/llama/cistern-llama", NULL, run.program)) {
        fputs("cistern-bench: bench/engines/llama/fetch gets libllama; then meson setup "
              "--reconfigure, and build\n",
            stderr);
        return false;
    }
    *out_run = run;
    return true;
}

static bool start_worker(
    struct engine_run *run, const char *socket_path, struct engine_worker *out_worker)
{
    char context[16];
    char threads[16];
    char block[16];
    char socket[PROCESS_PATH_BYTES];
    snprintf(context, sizeof context, "%u", run->context_tokens);
    snprintf(threads, sizeof threads, "%u", run->threads);
    snprintf(block, sizeof block, "%u", ENGINE_RUN_BLOCK_TOKENS);
    snprintf(socket, sizeof socket, "%s", socket_path == NULL ? "" : socket_path);
    char *argv[] = {run->program, (char[]){"--model"}, run->model, (char[]){"--ctx"}, context,
        (char[]){"--threads"}, threads, (char[]){"--block-tokens"}, block,
        socket_path == NULL ? (char[]){"--no-cache"} : (char[]){"--socket"},
        socket_path == NULL ? NULL : socket, NULL};
    return engine_worker_start(argv, -1, START_NS, out_worker);
}

static bool start_daemon(struct engine_run *run, uint32_t prompt_tokens)
{
    const char *dir = run->options->dir_path == NULL ? "." : run->options->dir_path;
    uint64_t blocks = PROMPTS * (prompt_tokens / ENGINE_RUN_BLOCK_TOKENS + 1);
    uint64_t pool = blocks * run->block_bytes;
    char folder[PATH_MAX];
    pool = pool < POOL_LEAST_BYTES ? POOL_LEAST_BYTES : pool;
    int length = snprintf(folder, sizeof folder, "%s/cistern-bench-XXXXXX", dir);
    if (length < 0 || (size_t)length >= sizeof folder || mkdtemp(folder) == NULL) {
        fprintf(stderr, "cistern-bench: --dir: no folder can be made in %s: %s\n", dir,
            strerror(errno));
        return false;
    }
    memcpy(run->cold_folder, folder, sizeof folder);
    if (!daemon_start_cold(
            run->options, pool, SLOT_MIN_BYTES, -1, folder, COLD_BYTES, &run->daemon)) {
        return false;
    }
    run->pool_blocks = run->daemon.pool_bytes / run->block_bytes;
    struct client_settings settings = {.socket_path = run->daemon.socket_path,
        .name = "bench-engine-flood",
        .block_bytes = run->block_bytes};
    return client_open(&settings, &run->flood);
}

bool engine_run_start(struct engine_run *run, uint32_t prompt_tokens, uint32_t generate)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    /* Each of two workers has its share of the cores: threads that wait for each other spin. */
    run->threads = cores > 2 ? (uint32_t)cores / 2 : 1;
    run->context_tokens = prompt_tokens + generate + ENGINE_RUN_BLOCK_TOKENS;
    if (!start_worker(run, NULL, &run->alone)) {
        return false;
    }
    run->block_bytes = run->alone.block_bytes;
    if (run->block_bytes == 0) {
        fputs("cistern-bench: the blocks of this model cannot be shared\n", stderr);
        return false;
    }
    return start_daemon(run, prompt_tokens) &&
           start_worker(run, run->daemon.socket_path, &run->workers[0]) &&
           start_worker(run, run->daemon.socket_path, &run->workers[1]);
}

/* Use blocks of the flood that may still be hot. */
static void touch(struct engine_run *run, uint64_t first, uint64_t count)
{
    for (uint64_t number = first; number < first + count; number++) {
        struct cistern_key key = content_key(run->options->seed, number);
        struct cistern_view view;
        size_t pinned;
        if (cistern_acquire(run->flood, &key, 1, &view, &pinned) == CISTERN_OK) {
            (void)cistern_release(run->flood, &view, 1);
        }
    }
}

/* Several times the pool, in parts that are used again: a policy that lets what came once pass by
 * would keep the prompts, which were used three times. */
bool engine_run_flood(struct engine_run *run)
{
    uint64_t part = run->pool_blocks / 2;
    for (int i = 0; i < FLOOD_PARTS; i++) {
        uint64_t first = run->flooded_blocks;
        if (!client_fill(run->flood, run->options->seed, first, part, run->block_bytes, false)) {
            return false;
        }
        for (int use = 0; use < FLOOD_USES; use++) {
            touch(run, first, part);
            clock_sleep_until(clock_now_ns() + FLOOD_GAP_NS); /* so that it is seen as another */
        }
        run->flooded_blocks += part;
    }
    return true;
}

void engine_run_stop(struct engine_run *run)
{
    cistern_close(&run->flood);
    (void)engine_worker_stop(&run->alone);
    (void)engine_worker_stop(&run->workers[0]);
    (void)engine_worker_stop(&run->workers[1]);
    daemon_stop(&run->daemon);
    if (run->cold_folder[0] != '\0') {
        daemon_clean_cold(run->cold_folder);
        if (rmdir(run->cold_folder) != 0) {
            perror(run->cold_folder);
        }
    }
}
