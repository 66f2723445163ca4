/* fake_operation: what a stream does, one thing at a time. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_OPERATION_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_OPERATION_H

#include "tests/fakes/cuda/fake_clock.h"
#include "tests/fakes/cuda/fake_entry.h"

enum fake_kind {
    FAKE_COPY,
    FAKE_FILL,
    FAKE_RECORD, /* an event's point is reached */
    FAKE_AWAIT, /* another stream's point */
    FAKE_CALL, /* a function of the host */
    FAKE_WRITE, /* a word of the timeline */
    FAKE_WAIT,
    FAKE_KERNEL /* of the tests: its ranges say what it touches */
};

enum fake_kernel {
#define KERNEL(field, name, parameters) FAKE_KERNEL_##field,
#include "tests/fakes/cuda/kernel.def"
#undef KERNEL
    FAKE_KERNELS
};

#define FAKE_PARAMETERS 5u

#define FAKE_TO_DEVICE 1u
#define FAKE_FROM_DEVICE 2u

struct fake_range {
    uint64_t to; /* 0: writes nothing */
    uint64_t from; /* 0: reads nothing */
    uint64_t bytes;
};

struct fake_operation {
    enum fake_kind kind;
    const char *what; /* the entry's name */
    struct fake_clock asked; /* what the host knew when it asked for it */
    struct fake_operation *next;
    struct fake_point *point; /* RECORD, AWAIT: held */
    void (*call)(void *context);
    void *context;
    uint64_t value; /* FILL: a byte; WRITE, WAIT: the word */
    enum fake_kernel kernel;
    uint64_t parameter[FAKE_PARAMETERS]; /* KERNEL: as they were when it was launched */
    bool is_revoked; /* its memory was taken away meanwhile */
    unsigned sides; /* FAKE_…_DEVICE: which of the two cannot be plain host memory */
    size_t count;
    struct fake_range ranges[];
};

/* All under the lock. NULL: no memory. The ranges are zero. */
struct fake_operation *fake_operation_make(
    enum fake_kind kind, enum fake_entry entry, size_t range_count);
void fake_operation_free(struct fake_operation *operation); /* accepts NULL */

bool fake_operation_uses(const struct fake_operation *operation, uint64_t address, uint64_t bytes);

/* The worker runs it; the lock is let go while it is late, waits, or calls the host. */
void fake_operation_run(struct driver_stream *stream, struct fake_operation *operation);

/* Whether the stream's device may do this to all bytes of a range. */
bool fake_operation_may(const struct driver_stream *stream, uint64_t address, uint64_t bytes,
    int access, bool is_device);

#endif
