/* baseline_redis: hiredis against a private redis-server. */
#include "bench/baseline_redis.h"

#include "bench/clock.h"
#include "bench/content.h"
#include "bench/process.h"
#include "bench/rng.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_TIMEOUT_NS (10 * CLOCK_NS_PER_S)

/* Is there a program `name` in PATH? */
static bool in_path(const char *name)
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        char file[512];
        size_t length = strcspn(path, ":");
        int written = snprintf(file, sizeof file, "%.*s/%s", (int)length, path, name);
        if (written > 0 && (size_t)written < sizeof file && access(file, X_OK) == 0) {
            return true;
        }
        path += length + (path[length] == ':');
    }
    return false;
}

static bool start_server(int core, struct process *process)
{
    if (!in_path("redis-server")) {
        fputs("no figure for Redis: there is no redis-server (Debian: apt-get install "
              "redis-server)\n",
            stderr);
        return false;
    }
    if (!process_prepare(process, "redis.sock")) {
        return false;
    }
    char *argv[] = {(char[]){"redis-server"}, (char[]){"--port"}, (char[]){"0"},
        (char[]){"--unixsocket"}, process->socket_path, (char[]){"--save"}, (char[]){""},
        (char[]){"--appendonly"}, (char[]){"no"}, (char[]){"--daemonize"}, (char[]){"no"}, NULL};
    return process_start(process, argv, core, true, START_TIMEOUT_NS);
}

/* Send the command that was appended last and take its answer. */
static bool command(redisContext *context, int type, size_t bytes, const char *verb,
    const struct cistern_key *key, const void *value, size_t value_bytes)
{
    const char *texts[] = {verb, (const char *)key->bytes, value};
    size_t lengths[] = {strlen(verb), sizeof key->bytes, value_bytes};
    redisReply *reply = redisCommandArgv(context, value == NULL ? 2 : 3, texts, lengths);
    bool good = reply != NULL && reply->type == type && (bytes == 0 || reply->len == bytes);
    if (!good) {
        fprintf(stderr, "no figure for Redis: %s failed: %s\n", verb,
            reply == NULL                      ? context->errstr
            : reply->type == REDIS_REPLY_ERROR ? reply->str
                                               : "another answer than expected");
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return good;
}

static bool measure(redisContext *context, uint64_t seed, uint64_t keys, uint64_t value_bytes,
    size_t count, struct stats *out_samples)
{
    void *value = malloc((size_t)value_bytes);
    bool good = value != NULL;
    for (uint64_t i = 0; good && i < keys; i++) {
        struct cistern_key key = content_key(seed, i);
        content_fill(&key, value, value_bytes);
        good = command(context, REDIS_REPLY_STATUS, 0, "SET", &key, value, (size_t)value_bytes);
    }
    free(value);
    uint64_t state = seed;
    for (size_t i = 0; good && i < count; i++) {
        struct cistern_key key = content_key(seed, rng_below(&state, keys));
        int64_t start = clock_now_ns();
        good = command(context, REDIS_REPLY_STRING, (size_t)value_bytes, "GET", &key, NULL, 0);
        stats_add(out_samples, (double)(clock_now_ns() - start));
    }
    return good;
}

bool baseline_redis_get_ns(const struct pin_cpu_plan *plan, uint64_t seed, uint64_t keys,
    uint64_t value_bytes, size_t count, struct stats *out_samples)
{
    struct process process = {0};
    if (!start_server(plan->server, &process)) {
        return false;
    }
    redisContext *context = redisConnectUnix(process.socket_path);
    bool good = context != NULL && context->err == 0;
    if (!good) {
        fprintf(stderr, "no figure for Redis: %s\n",
            context == NULL ? "out of memory" : context->errstr);
    }
    good = good && measure(context, seed, keys, value_bytes, count, out_samples);
    if (context != NULL) {
        redisFree(context);
    }
    process_stop(&process);
    return good;
}
