/* atomic: every access to a word that two processes share goes through these few helpers.
 *
 * No other file names a memory order. The two arguments that use them (publish; pin against retire)
 * are written in shm/README.md and model-checked in tests/model/. Only 32- and 64-bit words are
 * shared; loads never write, because readers map the index read-only.
 *
 * ThreadSanitizer does not understand fences. With CISTERN_TSAN every access becomes sequentially
 * consistent and the fences vanish: the second form that the models prove right. Mixing the two
 * forms is proved right as well, using one of the four accesses weaker is proved wrong.
 */
#ifndef CISTERN_SHM_ATOMIC_H
#define CISTERN_SHM_ATOMIC_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
    "shared words must be lock-free, hence address-free");
static_assert(sizeof(_Atomic uint32_t) == 4 && sizeof(_Atomic uint64_t) == 8,
    "an atomic word is as large as its value");

#ifdef CISTERN_TSAN
#define SHARED_RELAXED memory_order_seq_cst
#define SHARED_ACQUIRE memory_order_seq_cst
#define SHARED_RELEASE memory_order_seq_cst
#else
#define SHARED_RELAXED memory_order_relaxed
#define SHARED_ACQUIRE memory_order_acquire
#define SHARED_RELEASE memory_order_release
#endif

static inline uint32_t shared32_load_relaxed(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, SHARED_RELAXED);
}

static inline uint32_t shared32_load_acquire(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, SHARED_ACQUIRE);
}

static inline void shared32_store_relaxed(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, SHARED_RELAXED);
}

static inline void shared32_store_release(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, SHARED_RELEASE);
}

static inline uint64_t shared64_load_relaxed(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, SHARED_RELAXED);
}

static inline uint64_t shared64_load_acquire(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, SHARED_ACQUIRE);
}

static inline void shared64_store_relaxed(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, SHARED_RELAXED);
}

static inline void shared64_store_release(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, SHARED_RELEASE);
}

/* seq_cst fence: one of the two halves of "pin against retire" and of "is the other side asleep?".
 * Each use names its partner. */
static inline void shared_fence_full(void)
{
#ifndef CISTERN_TSAN
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* acquire fence: between the words of an unpinned read and the second look at its version. */
static inline void shared_fence_acquire(void)
{
#ifndef CISTERN_TSAN
    atomic_thread_fence(memory_order_acquire);
#endif
}

/* release fence: between a writer's odd version and the words that it then changes. */
static inline void shared_fence_release(void)
{
#ifndef CISTERN_TSAN
    atomic_thread_fence(memory_order_release);
#endif
}

/* What a spinning thread does between two looks: lets its sibling on the core work. */
static inline void shared_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

#endif
