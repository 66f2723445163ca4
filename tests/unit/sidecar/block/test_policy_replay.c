/* The policies, replayed on a public trace, against hit rates that other simulators found.
 *
 * Needs mooncake-conversation.jsonl in the folder $CISTERN_TRACES, else in ../shared/traces beside
 * the repository (the first argument is the repository). Skips without it. */
#include "sidecar/block/arena.h"
#include "sidecar/block/policy.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIQUE 182790u
#define REFERENCES 288500u
#define REQUESTS 12031u
#define SKIP 77

struct trace {
    uint32_t *ids; /* all requests, one after the other */
    uint32_t *starts; /* REQUESTS + 1 */
    uint32_t references;
    uint32_t requests;
};

struct rates {
    double plain;
    double prefix;
};

static const uint32_t capacities[] = {1827, 9139, 18279, 45697, 91395};
static const double lru_prefix[] = {0.0525, 0.1958, 0.2789, 0.3535, 0.3631};
/* The best of LRU, ARC, S3-FIFO, SIEVE and LRFU with endless memory, by the bench's replay. */
static const double others_prefix[] = {0.1098, 0.2143, 0.2923, 0.3542, 0.3633};
static const double arc_prefix[] = {0.0649, 0.2102, 0.2843, 0.3355, 0.3627};

static bool parse_line(struct trace *trace, const char *line)
{
    const char *at = strstr(line, "\"hash_ids\": [");
    if (at == NULL || trace->requests == REQUESTS) {
        return false;
    }
    trace->starts[trace->requests++] = trace->references;
    at += strlen("\"hash_ids\": [");
    while (*at != ']') {
        char *end;
        errno = 0;
        unsigned long id = strtoul(at, &end, 10);
        if (end == at || errno != 0 || id >= UNIQUE || trace->references == REFERENCES) {
            return false;
        }
        trace->ids[trace->references++] = (uint32_t)id;
        at = end;
        while (*at == ',' || *at == ' ') {
            at++;
        }
    }
    return true;
}

static bool trace_read(struct trace *trace, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    bool good = true;
    while (good && getline(&line, &room, file) > 0) {
        good = parse_line(trace, line);
    }
    free(line);
    trace->starts[trace->requests] = trace->references;
    return good && trace->requests == REQUESTS && trace->references == REFERENCES;
}

/* A fixed mixer, because ids are dense and ghosts hash by low bits. */
static uint64_t hash_of(uint32_t id)
{
    uint64_t mixed = (id + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
    return mixed ^ mixed >> 32;
}

struct cache {
    struct policy_memory memory;
    struct policy policy;
    uint32_t *slot_of; /* by id; POLICY_NONE: not resident */
    uint32_t *id_of; /* by slot */
    uint32_t free; /* where the next block goes */
    uint32_t used;
    uint32_t capacity;
};

/* Room is made ahead of need, as the sidecar does it: the block that came last may be the one that
 * goes, so there is one slot more than the capacity. */
static void make_room(struct cache *cache)
{
    if (cache->used < cache->capacity) {
        cache->used++;
        cache->free = cache->used;
        return;
    }
    uint32_t victim;
    if (policy_victims(&cache->policy, 1, &victim) != 1) {
        fprintf(stderr, "no victim in a full cache\n");
        exit(1);
    }
    policy_evicted(&cache->policy, victim);
    cache->slot_of[cache->id_of[victim]] = POLICY_NONE;
    cache->free = victim;
}

static void insert(struct cache *cache, const uint32_t *ids, uint32_t i, uint32_t missing)
{
    uint32_t slot = cache->free;
    uint32_t parent = i == 0 ? POLICY_NONE : cache->slot_of[ids[i - 1]];
    parent = i > 0 && parent == POLICY_NONE ? missing : parent;
    policy_insert(&cache->policy, slot, hash_of(ids[i]), parent);
    cache->slot_of[ids[i]] = slot;
    cache->id_of[slot] = ids[i];
    make_room(cache);
}

/* The definitions: sample the residency of all blocks; then touch or insert, deepest first. */
static void request_from_leaf(struct cache *cache, const uint32_t *ids, uint32_t count)
{
    for (uint32_t i = count; i-- > 0;) {
        if (cache->slot_of[ids[i]] != POLICY_NONE) {
            policy_touch(&cache->policy, cache->slot_of[ids[i]]);
        } else {
            /* Its parent is about to come. */
            insert(cache, ids, i, POLICY_NONE);
        }
    }
}

/* What a worker does: it touches what it found, computes the rest and commits that from the root
 * on. Parents make the same of it. */
static void request_from_root(struct cache *cache, const uint32_t *ids, uint32_t count)
{
    for (uint32_t i = count; i-- > 0;) {
        if (cache->slot_of[ids[i]] != POLICY_NONE) {
            policy_touch(&cache->policy, cache->slot_of[ids[i]]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (cache->slot_of[ids[i]] == POLICY_NONE) {
            insert(cache, ids, i, POLICY_MISSING);
        }
    }
}

static void sample(const struct cache *cache, const uint32_t *ids, uint32_t count, uint32_t *plain,
    uint32_t *prefix)
{
    uint32_t run = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (cache->slot_of[ids[i]] != POLICY_NONE) {
            (*plain)++;
            run += run == i;
        }
    }
    *prefix += run;
}

static struct rates replay(
    const struct trace *trace, enum policy_kind kind, uint32_t capacity, bool from_root)
{
    struct arena arena = {0};
    uint64_t bytes = policy_arena_bytes(kind, capacity + 1) +
                     arena_bytes(UNIQUE, sizeof(uint32_t)) +
                     arena_bytes(capacity + 1, sizeof(uint32_t));
    if (arena_open(bytes, &arena) != 0) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    struct cache cache = {.capacity = capacity};
    policy_memory_open(&cache.memory, kind, capacity + 1, &arena);
    cache.slot_of = arena_take(&arena, UNIQUE, sizeof(uint32_t));
    cache.id_of = arena_take(&arena, capacity + 1, sizeof(uint32_t));
    memset(cache.slot_of, 0xff, UNIQUE * sizeof(uint32_t));
    policy_open(&cache.policy, &cache.memory);
    policy_resize(&cache.policy, capacity);

    uint32_t plain = 0;
    uint32_t prefix = 0;
    for (uint32_t i = 0; i < trace->requests; i++) {
        const uint32_t *ids = trace->ids + trace->starts[i];
        uint32_t count = trace->starts[i + 1] - trace->starts[i];
        sample(&cache, ids, count, &plain, &prefix);
        if (from_root) {
            request_from_root(&cache, ids, count);
        } else {
            request_from_leaf(&cache, ids, count);
        }
    }
    arena_close(&arena);
    return (struct rates){
        .plain = (double)plain / trace->references,
        .prefix = (double)prefix / trace->references,
    };
}

static FILE *find_trace(const char *repository)
{
    char path[4096];
    const char *folder = getenv("CISTERN_TRACES");
    if (folder != NULL) {
        snprintf(path, sizeof path, "%s/mooncake-conversation.jsonl", folder);
    } else {
        snprintf(path, sizeof path, "%s/../shared/traces/mooncake-conversation.jsonl", repository);
    }
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        printf("skipped: %s: %s (CISTERN_TRACES names its folder)\n", path, strerror(errno));
    }
    return file;
}

static int check(
    const char *name, uint32_t capacity, struct rates got, double wanted, double within)
{
    bool good = fabs(got.prefix - wanted) <= within;
    printf("%s %6u blocks: prefix %.4f (expected %.4f within %.5f), plain %.4f: %s\n", name,
        capacity, got.prefix, wanted, within, got.plain, good ? "ok" : "WRONG");
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    FILE *file = find_trace(argc > 1 ? argv[1] : ".");
    if (file == NULL) {
        return SKIP;
    }
    struct trace trace = {
        .ids = calloc(REFERENCES, sizeof(uint32_t)),
        .starts = calloc(REQUESTS + 1, sizeof(uint32_t)),
    };
    bool good = trace.ids != NULL && trace.starts != NULL && trace_read(&trace, file);
    fclose(file);
    int wrong = good ? 0 : 1;
    for (uint32_t i = 0; good && i < sizeof capacities / sizeof capacities[0]; i++) {
        uint32_t capacity = capacities[i];
        for (int from_root = 0; from_root <= 1; from_root++) {
            struct rates lru = replay(&trace, POLICY_LRU, capacity, from_root);
            struct rates arc = replay(&trace, POLICY_ARC, capacity, from_root);
            /* LRU depends on no tuning: four digits. ARC's variants differ among themselves. */
            wrong += check(from_root ? "lru, commits from the root" : "lru, from the leaf",
                capacity, lru, lru_prefix[i], 0.00005);
            wrong += check(from_root ? "arc, commits from the root" : "arc, from the leaf",
                capacity, arc, arc_prefix[i], 0.02);
        }
    }
    for (uint32_t i = 0; good && i < sizeof capacities / sizeof capacities[0]; i++) {
        struct rates rates = replay(&trace, POLICY_ADAPTIVE, capacities[i], true);
        bool enough = rates.prefix >= others_prefix[i] - 0.0005;
        printf("adaptive %6u blocks: prefix %.4f, others %.4f: %s\n", capacities[i], rates.prefix,
            others_prefix[i], enough ? "ok" : "WRONG");
        wrong += enough ? 0 : 1;
    }
    if (!good) {
        fprintf(stderr, "the trace is not the one whose rates are known\n");
    }
    free(trace.ids);
    free(trace.starts);
    return wrong == 0 ? 0 : 1;
}
