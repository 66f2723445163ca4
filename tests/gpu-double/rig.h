/* rig: a process with the double of a driver, and nothing of cuda/ between: for the proof of the
 * double's own rules.
 *
 * The test program itself never loads it: as the driver, it does not survive fork(). Each test runs
 * in children (tests/e2e/child.h).
 */
#ifndef CISTERN_TESTS_GPU_DOUBLE_RIG_H
#define CISTERN_TESTS_GPU_DOUBLE_RIG_H

#include "cuda/driver.h"
#include "tests/e2e/child.h"

#include <stdatomic.h>

#define RIG_GRANULE (UINT64_C(2) << 20)

typedef int rig_find(const char *name, void **out_entry, int version, uint64_t flags, int *found);

struct rig {
    struct child_page *page;
    struct driver driver; /* its entries; NULL where the double has none */
    struct driver_context *context;
    rig_find *find; /* cuGetProcAddress_v2 */
    int (*fail_at)(const char *name, uint64_t nth, int result);
    int (*break_at)(const char *name, uint64_t nth);
    void (*delay_us)(uint64_t delay_us);
    void (*reset_faults)(void);
    uint64_t (*violations)(void);
    const char *(*first_violation)(void);
};

/* Memory of VMM, mapped. */
struct rig_slab {
    uint64_t handle;
    uint64_t address;
    uint64_t bytes;
};

#define RIG_DESK_BYTES 4096u

/* A process with memory, two streams and an event. */
struct rig_desk {
    struct rig rig;
    const struct driver *driver;
    struct rig_slab slab;
    struct driver_stream *one;
    struct driver_stream *two;
    struct driver_event *event;
};

/* Once in a test program: a state folder of its own for the double; and its removal. */
int rig_begin(void **state);
int rig_end(void **state);

/* In a child: load the double with these switches; and then start it, with the context of device 0
 * current. */
void rig_load(struct rig *rig, struct child_page *page, const char *switches);
void rig_open(struct rig *rig, struct child_page *page, const char *switches);

/* End the process unless a call returned what it should; unless there were so many violations. */
void rig_is(const struct rig *rig, const char *what, int result, int wanted);
void rig_ok(const struct rig *rig, const char *what, int result);
void rig_violated(const struct rig *rig, uint64_t times);

struct driver_allocation rig_wish(int handle_types);
struct driver_access rig_access(int flags);

/* Make or import memory, map it, give access (0: none). */
struct rig_slab rig_make(const struct rig *rig, uint64_t bytes, int flags);
struct rig_slab rig_import(const struct rig *rig, int fd, uint64_t bytes, int flags);
void rig_drop(const struct rig *rig, const struct rig_slab *slab);

int rig_export(const struct rig *rig, const struct rig_slab *slab);
struct driver_stream *rig_stream(const struct rig *rig);

/* Free bytes of device 0. */
uint64_t rig_free_bytes(const struct rig *rig);

/* A descriptor over a socket. */
void rig_send(const struct rig *rig, int socket, int fd);
int rig_take(const struct rig *rig, int socket);

/* A desk: made; its first bytes filled; both streams waited for. */
void rig_desk_open(struct rig_desk *desk, struct child_page *page, const char *switches);
void rig_desk_fill(const struct rig_desk *desk, struct driver_stream *stream, unsigned char value);
void rig_desk_finish(const struct rig_desk *desk);

/* A function for the driver to call, which sets an atomic_int; and a wait for that. */
void rig_desk_raise(void *flag);
void rig_desk_await(const struct rig_desk *desk, atomic_int *flag);

static inline unsigned char *rig_bytes(uint64_t address)
{
    return (unsigned char *)(uintptr_t)address;
}

#endif
