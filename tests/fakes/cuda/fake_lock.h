/* fake_lock: the one lock of the double, and the one condition "some operation is done".
 *
 * Everything that the double knows is read and written under it, copies included: one at a time
 * is slow, and cannot deadlock. Workers let go of it while they are late, and in a host function.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_LOCK_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_LOCK_H

#include <pthread.h>
#include <stdint.h>

void fake_lock_take(void);
void fake_lock_drop(void);

/* Once in a process: fork() waits for the lock, so that no child finds it taken for ever. */
void fake_lock_mind_forks(void);

/* Under the lock: sleep until `condition` is signalled. */
void fake_lock_wait(pthread_cond_t *condition);

/* Under the lock: let go of it for so long. */
void fake_lock_nap(uint64_t nanoseconds);

/* Under the lock: sleep until an operation is done; say that one is. */
void fake_lock_await_progress(void);
void fake_lock_progress(void);

#endif
