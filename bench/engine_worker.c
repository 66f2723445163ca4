/* engine_worker: see the header. */
#include "bench/engine_worker.h"

#include "bench/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_PATIENCE_NS (10 * CLOCK_NS_PER_S)
#define READ_BYTES 4096u
#define LINE_BYTES_MAX (1u << 20)

static _Noreturn void run_child(char *const argv[], int from, int to, int error_fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dup2(from, STDIN_FILENO) < 0 || dup2(to, STDOUT_FILENO) < 0 ||
        (error_fd >= 0 && dup2(error_fd, STDERR_FILENO) < 0)) {
        _exit(126);
    }
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    execv(argv[0], argv);
    fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static bool start_process(char *const argv[], int error_fd, struct engine_worker *worker)
{
    int in[2] = {-1, -1};
    int out[2] = {-1, -1};
    pid_t parent = getpid();
    bool good = pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0;
    (void)fflush(NULL);
    worker->pid = good ? fork() : -1;
    if (worker->pid == 0) {
        run_child(argv, in[0], out[1], error_fd, parent);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    worker->from = out[0];
    worker->to = worker->pid > 0 ? fdopen(in[1], "w") : NULL;
    if (worker->to == NULL) {
        (void)close(in[1]);
        fprintf(stderr, "cistern-bench: no process for %s: %s\n", argv[0], strerror(errno));
        return false;
    }
    return true;
}

/* Have one more piece of what it says. Returns false at the deadline, or if it has ended. */
static bool read_more(struct engine_worker *worker, int64_t deadline_ns)
{
    struct pollfd poll_fd = {.fd = worker->from, .events = POLLIN};
    int64_t left_ns = deadline_ns - clock_now_ns();
    if (worker->room - worker->bytes <= READ_BYTES) {
        size_t room = worker->bytes + 2 * READ_BYTES;
        char *line = room > LINE_BYTES_MAX ? NULL : realloc(worker->line, room);
        if (line == NULL) {
            return false;
        }
        worker->line = line;
        worker->room = room;
    }
    if (left_ns <= 0 || poll(&poll_fd, 1, (int)(left_ns / CLOCK_NS_PER_MS) + 1) <= 0) {
        return false;
    }
    ssize_t count = read(worker->from, worker->line + worker->bytes, READ_BYTES);
    worker->bytes += count > 0 ? (size_t)count : 0;
    return count > 0;
}

/* The next line, parsed; NULL if none came. */
static cJSON *next_line(struct engine_worker *worker, int64_t timeout_ns)
{
    int64_t deadline = clock_now_ns() + timeout_ns;
    const char *end;
    while ((end = worker->bytes == 0 ? NULL : memchr(worker->line, '\n', worker->bytes)) == NULL) {
        if (!read_more(worker, deadline)) {
            fputs("cistern-bench: the worker ended, or did not answer in time\n", stderr);
            return NULL;
        }
    }
    size_t length = (size_t)(end - worker->line);
    cJSON *object = cJSON_ParseWithLength(worker->line, length);
    worker->bytes -= length + 1;
    memmove(worker->line, worker->line + length + 1, worker->bytes);
    return object;
}

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static uint32_t count_of(const cJSON *object, const char *name)
{
    double value = number_of(object, name);
    return value > 0 && value < UINT32_MAX ? (uint32_t)value : 0;
}

static void copy_text(const cJSON *object, const char *name, char *out_text, size_t room)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    snprintf(out_text, room, "%s", text == NULL ? "" : text);
}

bool engine_worker_start(
    char *const argv[], int error_fd, int64_t timeout_ns, struct engine_worker *out_worker)
{
    struct engine_worker *worker = out_worker;
    *worker = (struct engine_worker){.from = -1};
    if (!start_process(argv, error_fd, worker)) {
        (void)engine_worker_stop(worker);
        return false;
    }
    cJSON *ready = next_line(worker, timeout_ns);
    bool good = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(ready, "ready"));
    worker->vocabulary = count_of(ready, "vocabulary");
    worker->block_bytes = count_of(ready, "block_bytes");
    copy_text(ready, "namespace", worker->space, sizeof worker->space);
    cJSON_Delete(ready);
    if (!good) {
        (void)engine_worker_stop(worker);
    }
    return good;
}

bool engine_worker_ask(struct engine_worker *worker, const cJSON *request)
{
    char *text = cJSON_PrintUnformatted(request);
    bool good = text != NULL && fprintf(worker->to, "%s\n", text) > 0 && fflush(worker->to) == 0;
    cJSON_free(text);
    return good;
}

static bool take_answer(const cJSON *object, struct engine_answer *answer)
{
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(object, "tokens");
    const cJSON *item;
    if (!cJSON_IsArray(tokens)) {
        return false;
    }
    *answer = (struct engine_answer){
        .prompt_tokens = count_of(object, "prompt_tokens"),
        .reused_tokens = count_of(object, "reused_tokens"),
        .fetched_blocks = count_of(object, "fetched_blocks"),
        .refused_blocks = count_of(object, "refused_blocks"),
        .stored_blocks = count_of(object, "stored_blocks"),
        .import_ms = number_of(object, "import_ms"),
        .compute_ms = number_of(object, "compute_ms"),
        .store_ms = number_of(object, "store_ms"),
        .first_ms = number_of(object, "first_ms"),
        .generate_ms = number_of(object, "generate_ms"),
    };
    copy_text(object, "logits", answer->logits, sizeof answer->logits);
    cJSON_ArrayForEach(item, tokens)
    {
        if (answer->token_count < ENGINE_WORKER_TOKENS_MAX) {
            answer->tokens[answer->token_count++] = item->valueint;
        }
    }
    return answer->token_count > 0;
}

bool engine_worker_answer(
    struct engine_worker *worker, int64_t timeout_ns, struct engine_answer *out_answer)
{
    cJSON *object = next_line(worker, timeout_ns);
    bool good = object != NULL && take_answer(object, out_answer);
    if (object != NULL && !good) {
        char error[128];
        copy_text(object, "error", error, sizeof error);
        fprintf(stderr, "cistern-bench: the worker answers with an error: %s\n", error);
    }
    cJSON_Delete(object);
    return good;
}

static void close_ends(struct engine_worker *worker)
{
    if (worker->to != NULL) {
        (void)fclose(worker->to);
    }
    if (worker->from > 0) { /* 0: one that never started */
        (void)close(worker->from);
    }
    free(worker->line);
    *worker = (struct engine_worker){.from = -1};
}

void engine_worker_kill(struct engine_worker *worker)
{
    if (worker->pid > 0) {
        (void)kill(worker->pid, SIGKILL);
        (void)waitpid(worker->pid, NULL, 0);
    }
    close_ends(worker);
}

int engine_worker_stop(struct engine_worker *worker)
{
    int status = 0;
    int64_t deadline = clock_now_ns() + STOP_PATIENCE_NS;
    if (worker->pid <= 0) {
        close_ends(worker);
        return 0;
    }
    if (worker->to != NULL) {
        (void)fclose(worker->to);
        worker->to = NULL;
    }
    while (waitpid(worker->pid, &status, WNOHANG) == 0) {
        if (clock_now_ns() > deadline) {
            engine_worker_kill(worker);
            return -1;
        }
        clock_sleep_until(clock_now_ns() + 2 * CLOCK_NS_PER_MS);
    }
    close_ends(worker);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
