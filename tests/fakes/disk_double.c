/* disk_double: see disk_double.h. One at a time in a test program. */
#include "tests/fakes/disk_double.h"

#include "shm/status.h"

#include "tests/check.h"

#include <errno.h>
#include <stdatomic.h>

static _Atomic uint64_t state;
static _Atomic uint32_t fail_read, fail_write, flip, tear;
static _Atomic bool dead;

/* The engine beneath, and what failed before it was begun. */
struct engine {
    struct disk disk;
    struct disk *inner;
    struct disk_op *failed;
};

void disk_double_set(uint64_t seed, const struct disk_double_rates *rates)
{
    atomic_store(&state, seed);
    atomic_store(&fail_read, rates->fail_read);
    atomic_store(&fail_write, rates->fail_write);
    atomic_store(&flip, rates->flip);
    atomic_store(&tear, rates->tear);
    atomic_store(&dead, false);
}

void disk_double_kill(bool is_dead)
{
    atomic_store(&dead, is_dead);
}

/* Only the I/O thread draws. */
static uint64_t draw(void)
{
    uint64_t seed = atomic_load(&state);
    uint64_t random = check_random(&seed);
    atomic_store(&state, seed);
    return random;
}

static bool happens(_Atomic uint32_t *rate)
{
    return draw() % 65536 < atomic_load(rate);
}

static int engine_open(
    const struct disk_options *options, struct disk **out_disk, char *why, size_t why_bytes)
{
    struct engine *engine = calloc(1, sizeof *engine);
    assert_non_null(engine);
    engine->disk.ops = &disk_double;
    int status = disk_threads.open(options, &engine->inner, why, why_bytes);
    if (status != STATUS_OK) {
        free(engine);
        return status;
    }
    *out_disk = &engine->disk;
    return STATUS_OK;
}

static void engine_start(struct disk *disk, struct disk_op *op)
{
    struct engine *engine = (struct engine *)disk;
    op->result = 0;
    if (atomic_load(&dead) || happens(op->kind == DISK_READ ? &fail_read : &fail_write)) {
        op->result = -EIO;
        op->next = engine->failed;
        engine->failed = op;
        return;
    }
    if (op->kind == DISK_WRITE && op->bytes > 4096 && happens(&tear)) {
        op->bytes = op->bytes / 2 / 4096 * 4096; /* and says that all is well */
    }
    engine->inner->ops->start(engine->inner, op);
}

static void engine_submit(struct disk *disk)
{
    struct engine *engine = (struct engine *)disk;
    engine->inner->ops->submit(engine->inner);
}

static void engine_wait(struct disk *disk, int64_t timeout_ns)
{
    struct engine *engine = (struct engine *)disk;
    engine->inner->ops->wait(engine->inner, engine->failed != NULL ? 0 : timeout_ns);
}

static struct disk_op *engine_next(struct disk *disk)
{
    struct engine *engine = (struct engine *)disk;
    struct disk_op *op = engine->failed;
    if (op != NULL) {
        engine->failed = op->next;
        return op;
    }
    op = engine->inner->ops->next(engine->inner);
    if (op != NULL && op->kind == DISK_READ && op->result == 0 && happens(&flip)) {
        uint64_t bit = draw() % (8 * op->bytes);
        ((uint8_t *)op->data)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    return op;
}

static void engine_close(struct disk *disk)
{
    struct engine *engine = (struct engine *)disk;
    if (engine != NULL) {
        engine->inner->ops->close(engine->inner);
        free(engine);
    }
}

const struct disk_ops disk_double = {
    .name = "double of a disk",
    .open = engine_open,
    .start = engine_start,
    .submit = engine_submit,
    .wait = engine_wait,
    .next = engine_next,
    .close = engine_close,
};
