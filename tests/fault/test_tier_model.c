/* test_tier_model: tiers that fail, tear, flip, lose and dawdle, against a model: never wrong
 * bytes, every operation ends once, nothing hangs, and once the faults are over all is well again.
 *
 * The model is the ledger of tests/conform: what may be there. A round is some dozens of random
 * operations under random rates of faults; damage is done to the files beneath the checksums. Then
 * the rates are 0: every block loads right or is a miss, and what misses can be stored and loaded.
 * usage: test_tier_model [ROUNDS [PART]]: only backends whose name has PART.
 */
#include "shm/status.h"
#include "sidecar/moment.h"
#include "sidecar/tier/tier_fault.h"
#include "tests/conform/conform.h"

#include <poll.h>
#include <string.h>

#define BLOCKS 48u /* numbers */
#define OPERATIONS 60u /* a round, at most */
#define BYTES_MOST 150000u
#define BACKENDS_MAX 16u
#define LOOK_MS 2 /* the end of the search comes without an event */
#define DELAY_POLLS 8u

/* What conform_backend.open has to know beside the place; one test runs at a time. */
struct model {
    struct conform world;
    struct conform_backend backend; /* the one below, in faults */
    const struct conform_backend *below;
    uint64_t random;
    uint32_t rounds;
    uint32_t round;
};

static struct model model;

static bool spoil(void *context, const struct tier_id *id, bool tear, uint64_t random)
{
    const struct conform_place *place = context;
    return model.below->spoil != NULL && model.below->spoil(place, id, tear, random);
}

static int open_model(
    const struct conform_place *place, struct tier **out_tier, char *why, size_t why_bytes)
{
    struct tier_fault_options options = {.seed = check_random(&model.random),
        .delay_polls = DELAY_POLLS,
        .spoil = spoil,
        .context = &model.world.place};
    int status = model.below->open(place, &options.inner, why, why_bytes);
    return status != STATUS_OK ? status : tier_fault_open(&options, out_tier);
}

/* Mostly few faults, now and then many of one kind. */
static uint32_t random_rate(void)
{
    static const uint32_t rates[] = {0, 0, 0, 655, 3276, 13107, 40000};
    return rates[check_random(&model.random) % CHECK_COUNT(rates)];
}

static void set_faults(bool on)
{
    struct tier_fault_rates rates = {.busy = 0};
    if (on) {
        rates = (struct tier_fault_rates){.fail_store = random_rate(),
            .fail_load = random_rate(),
            .busy = random_rate(),
            .delay = random_rate(),
            .tear = random_rate(),
            .corrupt = random_rate(),
            .lose = random_rate()};
    }
    tier_fault_set(model.world.tier, &rates);
}

static void must_be_one_of(int status, const int *right, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (status == right[i]) {
            return;
        }
    }
    fail_msg("round %u: %s", model.round, status_name(status));
}

static void operate(struct conform *world)
{
    static const int store_ends[] = {
        STATUS_OK, STATUS_PENDING, STATUS_BUSY, STATUS_LIMIT, STATUS_IO};
    static const int load_ends[] = {STATUS_PENDING, STATUS_MISS, STATUS_BUSY, STATUS_IO};
    uint64_t word = check_random(&model.random);
    uint64_t number = word % BLOCKS;
    struct conform_wish wish = {.part_bytes = (word >> 40 & 3) == 0 ? 1 + (word >> 44) % 99999 : 0,
        .deadline_ns = (word >> 16 & 15) == 0 ? 1 : 0,
        .urgency = (word >> 20 & 1) == 0 ? TIER_URGENT : TIER_AHEAD};
    switch (word >> 8 & 7) {
    case 0:
    case 1:
    case 2:
        must_be_one_of(conform_store(world, number, conform_size(world, BYTES_MOST)), store_ends,
            CHECK_COUNT(store_ends));
        break;
    case 3:
    case 4:
    case 5:
        must_be_one_of(conform_load(world, number, &wish, NULL), load_ends, CHECK_COUNT(load_ends));
        break;
    case 6:
        (void)conform_poll(world, (uint32_t)(word >> 24 & 7));
        break;
    default:
        if ((word >> 28 & 3) == 0) {
            conform_drop(world, number);
        }
        break;
    }
}

/* Without faults: right bytes or a miss; and what was a miss is stored, and then there. */
static void recover(struct conform *world)
{
    set_faults(false);
    conform_settle(world); /* still what was begun under faults */
    world->forgiving = false;
    for (uint64_t i = 0; i < BLOCKS; i++) {
        int status = conform_load_now(world, i);
        assert_true(status == STATUS_OK || status == STATUS_MISS);
        if (status == STATUS_OK || check_random(&model.random) % 4 != 0) {
            continue;
        }
        assert_int_equal(conform_store_now(world, i, conform_size(world, BYTES_MOST)), STATUS_OK);
        assert_int_equal(conform_load_now(world, i), STATUS_OK);
    }
}

/* What was dropped before it was found comes back: go on when all was found, and told. */
static void reopen(struct conform *world)
{
    uint64_t deadline = moment_ns() + CONFORM_WAIT_NS;
    conform_reopen(world);
    while (conform_health(world).finding) {
        struct pollfd wait = {.fd = tier_fd(world->tier), .events = POLLIN};
        assert_true(moment_ns() < deadline);
        if (conform_poll(world, BLOCKS) == 0) {
            assert_true(poll(&wait, 1, LOOK_MS) >= 0);
        }
    }
    for (uint32_t i = 0; i <= DELAY_POLLS; i++) {
        (void)conform_poll(world, BLOCKS);
    }
}

static void run_round(struct conform *world)
{
    world->forgiving = true;
    set_faults(true);
    for (uint64_t i = check_random(&model.random) % OPERATIONS; i > 0; i--) {
        operate(world);
    }
    if (check_random(&model.random) % 16 == 0) { /* in the middle of everything */
        reopen(world);
    }
    recover(world);
    if (check_random(&model.random) % 16 == 0) {
        reopen(world);
    }
}

static void test_model(void **state)
{
    (void)state;
    for (model.round = 0; model.round < model.rounds; model.round++) {
        run_round(&model.world);
        /* Operations that are over take no memory in a long run. */
        model.world.op_count = model.world.live == 0 ? 0 : model.world.op_count;
    }
    struct tier_health health = conform_health(&model.world);
    printf("%s: %u rounds; in the last life %llu stored, %llu loaded, %llu corrupt\n",
        model.below->name, model.rounds, (unsigned long long)health.stores,
        (unsigned long long)health.loads, (unsigned long long)health.corrupt);
}

static int setup(void **state)
{
    uint64_t seed = check_seed();
    model.below = *state;
    model.backend = *model.below;
    model.backend.open = open_model;
    model.random = seed;
    conform_open(&model.world, &model.backend, seed);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (model.round < model.rounds) {
        printf("%s: it was round %u\n", model.below->name, model.round);
    }
    conform_close(&model.world);
    return 0;
}

static uint32_t choose(const struct conform_backend *backends, uint32_t count, const char *part,
    struct CMUnitTest *out_tests)
{
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* A fault tier around a fault tier shows nothing more. */
        if (!backends[i].fault && (part == NULL || strstr(backends[i].name, part) != NULL)) {
            out_tests[chosen++] = (struct CMUnitTest){.name = backends[i].name,
                .test_func = test_model,
                .setup_func = setup,
                .teardown_func = teardown,
                .initial_state = (void *)(uintptr_t)&backends[i]};
        }
    }
    return chosen;
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[BACKENDS_MAX];
    const char *part = argc > 2 ? argv[2] : NULL;
    model.rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 200;
    if (conform_file_count + conform_nvme_count > BACKENDS_MAX) {
        return 1;
    }
    uint32_t count = choose(conform_file, conform_file_count, part, tests);
    count += choose(conform_nvme, conform_nvme_count, part, tests + count);
    return _cmocka_run_group_tests("tier model", tests, count, NULL, NULL);
}
