/* floor: table loads, an eventfd wake-up, a ping-pong of two lines. */
#include "bench/floor.h"

#include "bench/chain.h"
#include "bench/clock.h"
#include "bench/rng.h"
#include "bench/workers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE_BYTES (FLOOR_LINE_WORDS * sizeof(uint64_t))
#define ECHO_TIMEOUT_NS (60 * CLOCK_NS_PER_S)

bool floor_tables_open(struct floor_tables *out_tables, uint64_t slots)
{
    struct floor_tables tables = {.hint_lines = 16, .slot_lines = slots};
    while (tables.hint_lines * FLOOR_LINE_WORDS < slots * 2) {
        tables.hint_lines *= 2;
    }
    tables.mapped_bytes = (size_t)((tables.hint_lines + slots) * LINE_BYTES);
    int fd = memfd_create("cistern-bench floor", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)tables.mapped_bytes) != 0) {
        perror("cistern-bench: memfd");
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    void *base = mmap(NULL, tables.mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (base == MAP_FAILED) {
        perror("cistern-bench: mmap");
        return false;
    }
    tables.hints = base;
    tables.slots = tables.hints + tables.hint_lines * FLOOR_LINE_WORDS;
    for (uint64_t i = 0; i < tables.mapped_bytes / sizeof(uint64_t); i++) {
        tables.hints[i] = rng_mix(i);
    }
    *out_tables = tables;
    return true;
}

void floor_tables_close(struct floor_tables *tables)
{
    if (tables->hints != NULL) {
        munmap(tables->hints, tables->mapped_bytes);
    }
    *tables = (struct floor_tables){0};
}

static const uint64_t *hint_line(const struct floor_tables *tables, uint64_t random)
{
    return tables->hints + (random & (tables->hint_lines - 1)) * FLOOR_LINE_WORDS;
}

static const uint64_t *slot_line(const struct floor_tables *tables, uint64_t random)
{
    return tables->slots + ((random >> 32) * tables->slot_lines >> 32) * FLOOR_LINE_WORDS;
}

/* A use that the compiler cannot drop. */
static void consume(uint64_t value)
{
    __asm__ volatile("" : : "r"(value));
}

double floor_dependent_ns(
    const struct floor_tables *tables, const struct cistern_key *keys, size_t count)
{
    int64_t start = clock_now_ns();
    uint64_t last = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t words[2];
        memcpy(words, keys[i + chain_zero(last)].bytes, sizeof words);
        uint64_t hint = *hint_line(tables, words[0]);
        last = *slot_line(tables, words[1] + hint);
    }
    consume(last);
    return (double)(clock_now_ns() - start);
}

double floor_independent_ns(const struct floor_tables *tables, const struct cistern_key *keys)
{
    int64_t start = clock_now_ns();
    uint64_t hints[FLOOR_BATCH];
    uint64_t sum = 0;
    for (size_t i = 0; i < FLOOR_BATCH; i++) {
        uint64_t word;
        memcpy(&word, keys[i].bytes, sizeof word);
        hints[i] = *hint_line(tables, word);
    }
    for (size_t i = 0; i < FLOOR_BATCH; i++) {
        sum += *slot_line(tables, hints[i]);
    }
    consume(sum);
    return (double)(clock_now_ns() - start);
}

/* Two words that two processes spin on, each alone on its lines. */
struct echo {
    _Alignas(128) _Atomic uint64_t asked;
    _Alignas(128) _Atomic uint64_t answered;
    int event_fd; /* -1: spin on `asked` instead */
    int core;
    uint64_t count;
};

/* The other side: sees number i, answers number i. */
static int echo_body(int number, void *context)
{
    (void)number;
    struct echo *echo = context;
    pin_cpu(echo->core);
    int64_t deadline = clock_now_ns() + ECHO_TIMEOUT_NS;
    for (uint64_t i = 1; i <= echo->count; i++) {
        uint64_t rung;
        if (echo->event_fd >= 0) {
            if (read(echo->event_fd, &rung, sizeof rung) != sizeof rung) {
                return 1;
            }
        } else {
            for (uint64_t turns = 1; atomic_load_explicit(&echo->asked, memory_order_acquire) < i;
                 turns++) {
                if (turns % 1024 == 0 && clock_now_ns() > deadline) {
                    return 1;
                }
            }
        }
        atomic_store_explicit(&echo->answered, i, memory_order_release);
    }
    return 0;
}

static bool ask(struct echo *echo, uint64_t number, int64_t deadline)
{
    if (echo->event_fd >= 0) {
        uint64_t one = 1;
        if (write(echo->event_fd, &one, sizeof one) != sizeof one) {
            return false;
        }
    } else {
        atomic_store_explicit(&echo->asked, number, memory_order_release);
    }
    for (uint64_t turns = 1; atomic_load_explicit(&echo->answered, memory_order_acquire) < number;
         turns++) {
        if (turns % 1024 == 0 && clock_now_ns() > deadline) {
            return false;
        }
    }
    return true;
}

/* `divisor` 1: the whole way is the sample; 2: half of it. */
static bool run_echo(const struct pin_cpu_plan *plan, int event_fd, size_t count, int64_t gap_ns,
    double divisor, struct stats *out_samples)
{
    struct echo *echo = plan->count < 2 ? NULL : workers_share(sizeof *echo);
    if (echo == NULL || !pin_cpu(plan->client)) {
        workers_unshare(echo, sizeof *echo);
        return false;
    }
    echo->event_fd = event_fd;
    echo->core = plan->server;
    echo->count = count;
    struct workers workers;
    bool good = workers_start(&workers, 1, echo_body, echo);
    bool started = good;
    int64_t deadline = clock_now_ns() + ECHO_TIMEOUT_NS;
    for (uint64_t i = 1; good && i <= count; i++) {
        clock_spin_until(clock_now_ns() + gap_ns);
        int64_t start = clock_now_ns();
        good = ask(echo, i, deadline);
        stats_add(out_samples, (double)(clock_now_ns() - start) / 1e3 / divisor);
    }
    if (started && !workers_wait(&workers, good ? CLOCK_NS_PER_S : 0, NULL, NULL)) {
        good = false;
    }
    workers_unshare(echo, sizeof *echo);
    return good;
}

bool floor_wake_us(
    const struct pin_cpu_plan *plan, size_t count, int64_t gap_ns, struct stats *out_samples)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "cistern-bench: eventfd: %s\n", strerror(errno));
        return false;
    }
    bool good = run_echo(plan, fd, count, gap_ns, 1, out_samples);
    close(fd);
    return good;
}

bool floor_ping_us(const struct pin_cpu_plan *plan, size_t count, struct stats *out_samples)
{
    return run_echo(plan, -1, count, 0, 2, out_samples);
}
