/* workers: fork and wait. Only this file knows the pids. */
#include "bench/workers.h"

#include "bench/clock.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void *workers_share(size_t bytes)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void workers_unshare(void *memory, size_t bytes)
{
    if (memory != NULL) {
        munmap(memory, bytes);
    }
}

static void end_all(struct workers *workers)
{
    for (int i = 0; i < workers->count; i++) {
        if (workers->pids[i] > 0) {
            kill(workers->pids[i], SIGKILL);
            waitpid(workers->pids[i], NULL, 0);
            workers->pids[i] = 0;
            workers->failed++;
        }
    }
}

bool workers_start(struct workers *out_workers, int count, workers_body body, void *context)
{
    assert(count > 0 && count <= WORKERS_MAX);
    struct workers workers = {0};
    pid_t parent = getpid();
    fflush(NULL);
    for (int number = 0; number < count; number++) {
        pid_t pid = fork();
        if (pid < 0) {
            perror("cistern-bench: fork");
            end_all(&workers);
            return false;
        }
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            int status = getppid() == parent ? body(number, context) : 1;
            fflush(NULL);
            _exit(status);
        }
        workers.pids[workers.count++] = pid;
    }
    *out_workers = workers;
    return true;
}

/* Take the ends of workers that ended. Returns how many still run. */
static int reap(struct workers *workers)
{
    int running = 0;
    for (int i = 0; i < workers->count; i++) {
        int status = 0;
        if (workers->pids[i] == 0) {
            continue;
        }
        if (waitpid(workers->pids[i], &status, WNOHANG) == 0) {
            running++;
            continue;
        }
        workers->pids[i] = 0;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            workers->failed++;
            fprintf(stderr, "cistern-bench: worker %d ended with %s %d\n", i,
                WIFEXITED(status) ? "status" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        }
    }
    return running;
}

bool workers_wait(
    struct workers *workers, int64_t timeout_ns, workers_tick tick, void *tick_context)
{
    int64_t deadline = clock_now_ns() + timeout_ns;
    int64_t next_tick = 0;
    while (reap(workers) > 0) {
        if (workers->failed > 0 || clock_now_ns() > deadline) {
            if (workers->failed == 0) {
                fputs("cistern-bench: the workers did not end in time\n", stderr);
            }
            end_all(workers);
            break;
        }
        if (tick != NULL && clock_now_ns() >= next_tick) {
            tick(tick_context);
            next_tick = clock_now_ns() + 100 * CLOCK_NS_PER_MS;
        }
        clock_sleep_until(clock_now_ns() + 5 * CLOCK_NS_PER_MS);
    }
    if (tick != NULL) {
        tick(tick_context);
    }
    return workers->failed == 0;
}
