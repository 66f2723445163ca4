/* test_rate_mooncake: the replay beside published figures, to four digits where nothing is a matter
 * of tuning.
 *
 * Needs mooncake-conversation.jsonl in the folder $CISTERN_TRACES, else in ../shared/traces beside
 * the repository (the first argument is the repository). Skips without it. */
#include "bench/policy/rate.h"

#include "tests/check.h"

#include <math.h>
#include <unistd.h>

static const uint32_t sizes[] = {1827, 9139, 18279, 45697, 91395};

static const struct anchor {
    const struct sim_ops *ops;
    double prefix[5];
    double within;
} anchors[] = {
    {&sim_lru, {0.0525, 0.1958, 0.2789, 0.3535, 0.3631}, 0.00005},
    {&sim_sieve, {0.0582, 0.1276, 0.1949, 0.3364, 0.3627}, 0.00005},
    {&sim_optimum, {0.2464, 0.3664, 0.3664, 0.3664, 0.3664}, 0.00005},
    {&sim_lrfu, {0.1098, 0.2143, 0.2923, 0.3542, 0.3633}, 0.00005},
    /* Variants of these two differ among themselves. */
    {&sim_arc, {0.0649, 0.2102, 0.2843, 0.3355, 0.3627}, 0.005},
    {&sim_s3fifo, {0.0771, 0.1916, 0.2437, 0.3338, 0.3627}, 0.005},
};

static int check(const char *name, uint32_t size, double got, double wanted, double within)
{
    bool good = fabs(got - wanted) <= within;
    printf("%s %u: %.4f, expected %.4f within %.5f: %s\n", name, size, got, wanted, within,
        good ? "ok" : "WRONG");
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    char path[4096];
    const char *folder = getenv("CISTERN_TRACES");
    snprintf(path, sizeof path, "%s%s/mooncake-conversation.jsonl",
        folder != NULL ? folder
        : argc > 1     ? argv[1]
                       : ".",
        folder != NULL ? "" : "/../shared/traces");
    if (access(path, R_OK) != 0) {
        printf("skipped: no %s (CISTERN_TRACES names its folder)\n", path);
        return CHECK_SKIP;
    }
    struct trace trace;
    struct rate rate;
    if (!trace_open(path, 0, &trace) || !rate_ceiling(&trace, &rate)) {
        return 1;
    }
    int wrong = check("ceiling", 0, rate.prefix, 0.3664, 0.00005) +
                check("ceiling, tokens", 0, rate.token_prefix, 0.3736, 0.00005);
    for (size_t i = 0; i < CHECK_COUNT(anchors); i++) {
        for (size_t j = 0; j < CHECK_COUNT(sizes); j++) {
            if (!rate_replay(anchors[i].ops, &trace, sizes[j], &rate)) {
                return 1;
            }
            wrong += check(anchors[i].ops->name, sizes[j], rate.prefix, anchors[i].prefix[j],
                anchors[i].within);
        }
    }
    trace_close(&trace);
    return wrong == 0 ? 0 : 1;
}
