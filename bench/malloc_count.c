/* malloc_count: counts, then calls glibc's own entry points. */
#include "bench/malloc_count.h"

#include "bench/sanitized.h"

#include <stdatomic.h>
#include <stddef.h>

static _Atomic uint64_t calls;

uint64_t malloc_count(void)
{
    return atomic_load_explicit(&calls, memory_order_relaxed);
}

static void count_one(void)
{
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

#if SANITIZED

/* The sanitizer calls this, where it is defined, after each allocation. */
void __sanitizer_malloc_hook(const volatile void *memory, size_t bytes);
void __sanitizer_malloc_hook(const volatile void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
    count_one();
}

#else

#include <errno.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    count_one();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    count_one();
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    count_one();
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    count_one();
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out_memory, size_t alignment, size_t bytes)
{
    count_one();
    void *memory = __libc_memalign(alignment, bytes);
    if (memory == NULL) {
        return ENOMEM;
    }
    *out_memory = memory;
    return 0;
}

#endif
