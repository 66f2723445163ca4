/* fake_lock: see fake_lock.h. */
#include "tests/fakes/cuda/fake_lock.h"

#include <stdbool.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t progress = PTHREAD_COND_INITIALIZER;

void fake_lock_take(void)
{
    (void)pthread_mutex_lock(&lock);
}

void fake_lock_drop(void)
{
    (void)pthread_mutex_unlock(&lock);
}

void fake_lock_mind_forks(void)
{
    static bool is_minded;
    if (!is_minded) {
        is_minded = pthread_atfork(fake_lock_take, fake_lock_drop, fake_lock_drop) == 0;
    }
}

void fake_lock_wait(pthread_cond_t *condition)
{
    (void)pthread_cond_wait(condition, &lock);
}

void fake_lock_await_progress(void)
{
    (void)pthread_cond_wait(&progress, &lock);
}

void fake_lock_progress(void)
{
    (void)pthread_cond_broadcast(&progress);
}

void fake_lock_nap(uint64_t nanoseconds)
{
    struct timespec nap = {
        .tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)};
    fake_lock_drop();
    (void)nanosleep(&nap, NULL);
    fake_lock_take();
}
