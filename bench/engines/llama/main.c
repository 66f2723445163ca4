/* main: cistern-llama, a worker: reads prompts from standard input, a JSON object a line, and
 * answers each with one on standard output. See README.md and request.h. */
#include "bench/engines/llama/block.h"
#include "bench/engines/llama/request.h"
#include "bench/engines/llama/serve.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define CONTEXT_TOKENS 4608u
#define BLOCK_TOKENS 64u
#define BLOCK_TOKENS_MAX 512u

struct settings {
    struct engine_options engine;
    const char *socket_path;
    bool no_cache;
};

struct worker {
    struct engine engine;
    struct identity_texts texts;
    struct cistern_namespace space;
    struct cache cache;
    struct serve serve;
    int32_t *tokens; /* of a prompt; room for a context */
    int32_t *answer;
};

static const struct option long_options[] = {
    {"model", required_argument, NULL, 'm'},
    {"socket", required_argument, NULL, 's'},
    {"no-cache", no_argument, NULL, 'n'},
    {"ctx", required_argument, NULL, 'c'},
    {"block-tokens", required_argument, NULL, 'b'},
    {"threads", required_argument, NULL, 't'},
    {"kv-type", required_argument, NULL, 'k'},
    {"lora", required_argument, NULL, 'l'},
    {"rope-freq-base", required_argument, NULL, 'r'},
    {"rope-freq-scale", required_argument, NULL, 'f'},
    {"window-alone", no_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void help(void)
{
    printf(
        "usage: cistern-llama --model FILE [--option VALUE]...\n\n"
        "Reads prompts, one JSON object a line: {\"text\": \"...\"} or {\"tokens\": [...]}, with\n"
        "\"generate\" and \"limit\"; answers each with one.\n\n"
        "  --model FILE            a GGUF file\n"
        "  --socket PATH           of the sidecar (default $CISTERN_SOCKET, then the library's)\n"
        "  --no-cache              compute everything\n"
        "  --ctx TOKENS            of the context (default %u)\n"
        "  --block-tokens TOKENS   64, 128 ... %u: what is shared as a piece (default %u)\n"
        "  --threads NUMBER        of the engine\n"
        "  --kv-type TYPE          of K and V: f16 (default), f32, q8_0 ...\n"
        "  --lora FILE             an adapter\n"
        "  --rope-freq-base HZ, --rope-freq-scale FACTOR   instead of the model's\n"
        "  --window-alone          keep no rows behind a sliding window: less memory, but the\n"
        "                          last bits of logits may depend on what was reused\n",
        CONTEXT_TOKENS, BLOCK_TOKENS_MAX, BLOCK_TOKENS);
}

static bool take_number(const char *text, uint32_t step, uint32_t most, uint32_t *out_number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value == 0 || value > most || value % step != 0) {
        fprintf(stderr, "cistern-llama: '%s' is no number from %u to %u in steps of %u\n", text,
            step, most, step);
        return false;
    }
    *out_number = (uint32_t)value;
    return true;
}

static bool take_factor(const char *text, float *out_factor)
{
    char *end;
    *out_factor = strtof(text, &end);
    if (end == text || *end != '\0' || !(*out_factor > 0)) {
        fprintf(stderr, "cistern-llama: '%s' is no number above 0\n", text);
        return false;
    }
    return true;
}

/* Returns -1 to go on, else the exit status. */
static int parse(int argc, char **argv, struct settings *settings)
{
    struct engine_options *engine = &settings->engine;
    bool good = true;
    int letter;
    while (good && (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (letter) {
        case 'm':
            engine->model_path = optarg;
            break;
        case 's':
            settings->socket_path = optarg;
            break;
        case 'n':
            settings->no_cache = true;
            break;
        case 'c':
            good = take_number(optarg, 1, 1u << 20, &engine->context_tokens);
            break;
        /* Attention in tiles begins at 64 tokens: shorter steps would give other roundings. */
        case 'b':
            good = take_number(optarg, 64, BLOCK_TOKENS_MAX, &engine->block_tokens);
            break;
        case 't':
            good = take_number(optarg, 1, 512, &engine->threads);
            break;
        case 'k':
            engine->kv_type = optarg;
            break;
        case 'l':
            engine->lora_path = optarg;
            break;
        case 'r':
            good = take_factor(optarg, &engine->rope_freq_base);
            break;
        case 'f':
            good = take_factor(optarg, &engine->rope_freq_scale);
            break;
        case 'w':
            engine->window_alone = true;
            break;
        case 'h':
            help();
            return 0;
        default:
            good = false;
        }
    }
    if (good && (engine->model_path == NULL || optind < argc)) {
        fputs("cistern-llama: --model FILE is wanted, and nothing but options; --help\n", stderr);
        good = false;
    }
    return good ? -1 : 2;
}

static bool identify(const struct settings *settings, struct worker *worker)
{
    struct identity identity;
    if (!engine_identify(&worker->engine, &settings->engine, &identity) ||
        !identity_space(&identity, &worker->texts, &worker->space)) {
        fputs("cistern-llama: the model's file cannot be read again, for its digest\n", stderr);
        return false;
    }
    return true;
}

static bool open_worker(const struct settings *settings, struct worker *worker)
{
    struct engine *engine = &worker->engine;
    if (!engine_open(&settings->engine, engine)) {
        return false;
    }
    worker->tokens = calloc(engine->context_tokens, sizeof *worker->tokens);
    worker->answer = calloc(engine->context_tokens, sizeof *worker->answer);
    bool cached = !settings->no_cache && engine->shape != NULL;
    if (engine->shape == NULL && !settings->no_cache) {
        fprintf(stderr, "cistern-llama: goes on without the cache: %s\n", engine->why);
    }
    if (worker->tokens == NULL || worker->answer == NULL ||
        (cached && !identify(settings, worker))) {
        return false;
    }
    cache_open(cached ? &worker->space : NULL, settings->socket_path,
        engine->context_tokens / settings->engine.block_tokens + 1, &worker->cache);
    return serve_open(engine, &worker->cache, settings->engine.block_tokens, &worker->serve);
}

static void close_worker(struct worker *worker)
{
    serve_close(&worker->serve);
    cache_close(&worker->cache);
    engine_close(&worker->engine);
    free(worker->tokens);
    free(worker->answer);
}

static void print_object(cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    puts(text == NULL ? "{\"error\":\"no memory\"}" : text);
    fflush(stdout);
    cJSON_free(text);
    cJSON_Delete(object);
}

static void print_error(const char *why)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "error", why);
    print_object(object);
}

static void print_ready(const struct worker *worker, uint32_t block_tokens)
{
    const struct blob_shape *shape = worker->engine.shape;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddBoolToObject(object, "ready", true);
    cJSON_AddBoolToObject(object, "attached", worker->cache.handle != NULL);
    cJSON_AddNumberToObject(object, "vocabulary", worker->engine.vocabulary);
    cJSON_AddNumberToObject(object, "context_tokens", worker->engine.context_tokens);
    cJSON_AddNumberToObject(
        object, "block_bytes", shape == NULL ? 0 : (double)block_bytes(shape, block_tokens));
    cJSON_AddStringToObject(object, "namespace", worker->texts.name);
    cJSON_AddStringToObject(object, "engine", worker->engine.version);
    print_object(object);
}

static void print_answer(uint32_t prompt_tokens, const struct serve_answer *answer)
{
    char sum[17];
    cJSON *object = cJSON_CreateObject();
    snprintf(sum, sizeof sum, "%016llx", (unsigned long long)answer->logits_sum);
    cJSON_AddNumberToObject(object, "prompt_tokens", prompt_tokens);
    cJSON_AddNumberToObject(object, "reused_tokens", answer->reused_tokens);
    cJSON_AddNumberToObject(object, "fetched_blocks", answer->fetched_blocks);
    cJSON_AddNumberToObject(object, "refused_blocks", answer->refused_blocks);
    cJSON_AddNumberToObject(object, "stored_blocks", answer->stored_blocks);
    cJSON_AddNumberToObject(object, "find_ms", answer->find_ms);
    cJSON_AddNumberToObject(object, "import_ms", answer->import_ms);
    cJSON_AddNumberToObject(object, "compute_ms", answer->compute_ms);
    cJSON_AddNumberToObject(object, "store_ms", answer->store_ms);
    cJSON_AddNumberToObject(object, "first_ms", answer->first_ms);
    cJSON_AddNumberToObject(object, "generate_ms", answer->generate_ms);
    cJSON_AddStringToObject(object, "logits", sum);
    cJSON_AddItemToObject(
        object, "tokens", cJSON_CreateIntArray(answer->tokens, (int)answer->token_count));
    print_object(object);
}

static void answer_line(struct worker *worker, const char *line)
{
    uint32_t room = worker->engine.context_tokens;
    struct request request;
    const char *why = request_parse(line, worker->engine.vocabulary, &request);
    if (why != NULL) {
        print_error(why);
        return;
    }
    uint32_t count = request.text == NULL
                         ? request_tokens(&request, worker->tokens, room)
                         : engine_tokens(&worker->engine, request.text, worker->tokens, room);
    if (request.limit > 0 && count > request.limit) {
        count = request.limit;
    }
    struct serve_request prompt = {
        .tokens = worker->tokens, .token_count = count, .generate = request.generate};
    struct serve_answer answer = {.tokens = worker->answer};
    request_drop(&request);
    if (count == 0 || count >= room || prompt.generate > room - count) {
        print_error("the prompt and its answer do not fit into the context; or it has no tokens");
    } else if (!serve_prompt(&worker->serve, &prompt, &answer)) {
        print_error("the engine refuses to compute this");
    } else {
        print_answer(count, &answer);
    }
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .engine = {.context_tokens = CONTEXT_TOKENS, .block_tokens = BLOCK_TOKENS}};
    static struct worker worker;
    char *line = NULL;
    size_t room = 0;
    int status = parse(argc, argv, &settings);
    if (status >= 0) {
        return status;
    }
    signal(SIGPIPE, SIG_IGN);
    if (!open_worker(&settings, &worker)) {
        close_worker(&worker);
        return 1;
    }
    print_ready(&worker, settings.engine.block_tokens);
    while (!ferror(stdout) && getline(&line, &room, stdin) > 0) {
        answer_line(&worker, line);
    }
    free(line);
    close_worker(&worker);
    return 0;
}
