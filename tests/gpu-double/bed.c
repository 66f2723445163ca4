/* bed: see bed.h. */
#include "tests/gpu-double/bed.h"

#include "tests/check.h"
#include "tests/folder.h"

#include "cuda/copy.h"
#include "shm/status.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char state_folder[] = "/dev/shm/cistern-double-XXXXXX";
static bool is_double;

/* In a child: word 0 is whether there is a device, word 1 whether it is the double's. */
static int look(void *context, struct child_page *page)
{
    struct driver driver;
    struct gpu gpu;
    (void)context;
    int status = driver_open(&driver, page->said, sizeof page->said);
    if (status == STATUS_OK) {
        bool of_double = dlsym(driver.library, "cuda_double_violations") != NULL;
        shared64_store_relaxed(&page->word[1], of_double);
        status = gpu_choose(&driver, "auto", &gpu, page->said, sizeof page->said);
    }
    shared64_store_relaxed(&page->word[0], status == STATUS_OK);
    child_at(page, 1);
    return 0;
}

bool bed_found(void)
{
    struct child child;
    if (!child_start(&child, look, NULL)) {
        printf("skipped: no process for the driver\n");
        return false;
    }
    bool found = child_reaches(&child, 1) && shared64_load_relaxed(&child.page->word[0]) != 0;
    is_double = shared64_load_relaxed(&child.page->word[1]) != 0;
    if (found) {
        printf("on %s\n", child.page->said);
    } else {
        printf("skipped: %s\n", child.page->said);
    }
    (void)child_end(&child);
    return found;
}

bool bed_is_double(void)
{
    return is_double;
}

void bed_double(void)
{
    if (!is_double) {
        print_message("only a double does this on purpose\n");
        skip();
    }
}

int bed_begin(void **state)
{
    (void)state;
    return mkdtemp(state_folder) == NULL || setenv("CUDA_DOUBLE_STATE", state_folder, 1) != 0;
}

int bed_end(void **state)
{
    (void)state;
    return folder_remove(state_folder);
}

/* A control function of the double, by name. */
static void *control(const struct bed *bed, const char *name)
{
    void *entry = dlsym(bed->driver.library, name);
    child_need(bed->page, entry != NULL, "the double has no %s", name);
    return entry;
}

void bed_open(struct bed *bed, struct child_page *page, const char *switches, const char *which)
{
    *bed = (struct bed){.page = page};
    child_need(page, setenv("CUDA_DOUBLE", switches, 1) == 0, "setenv");
    int status = driver_open(&bed->driver, bed->why, sizeof bed->why);
    child_need(page, status == STATUS_OK, "driver: %s", bed->why);
    status = gpu_choose(&bed->driver, which, &bed->gpu, bed->why, sizeof bed->why);
    child_need(page, status == STATUS_OK, "choose: %s", bed->why);
    status = gpu_open(&bed->gpu, bed->why, sizeof bed->why);
    child_need(page, status == STATUS_OK, "open: %s", bed->why);
    status = gpu_enter(&bed->gpu, &bed->former);
    child_need(page, status == STATUS_OK && bed->former == NULL, "enter: %d", status);
}

void bed_close(struct bed *bed)
{
    if (is_double && !bed->forgiven && bed_violations(bed) != 0) {
        union {
            void *data;
            const char *(*first)(void);
        } entry = {.data = control(bed, "cuda_double_first_violation")};
        child_need(bed->page, false, "%s", entry.first());
    }
    gpu_leave(&bed->gpu, bed->former);
    gpu_close(&bed->gpu);
    driver_close(&bed->driver);
}

uint64_t bed_violations(const struct bed *bed)
{
    union {
        void *data;
        uint64_t (*count)(void);
    } entry = {.data = control(bed, "cuda_double_violations")};
    return entry.count();
}

void bed_fail(const struct bed *bed, const char *name, uint64_t nth, int result)
{
    union {
        void *data;
        int (*strike)(const char *name, uint64_t nth, int result);
    } entry = {.data = control(bed, "cuda_double_fail")};
    child_need(bed->page, entry.strike(name, nth, result) == 0, "no call %s", name);
}

void bed_break(const struct bed *bed, const char *name, uint64_t nth)
{
    union {
        void *data;
        int (*strike)(const char *name, uint64_t nth);
    } entry = {.data = control(bed, "cuda_double_break")};
    child_need(bed->page, entry.strike(name, nth) == 0, "no call %s", name);
}

void bed_delay(const struct bed *bed, uint64_t delay_us)
{
    if (!is_double) {
        return; /* a device is as late as it is */
    }
    union {
        void *data;
        void (*delay)(uint64_t delay_us);
    } entry = {.data = control(bed, "cuda_double_delay_us")};
    entry.delay(delay_us);
}

static void wait_for(struct bed *bed, struct copy_stream *stream)
{
    int status = driver_status(bed->driver.cuStreamSynchronize(stream->stream));
    child_need(bed->page, status == STATUS_OK, "stream: %d", status);
    copy_close(stream);
}

void bed_fill(struct bed *bed, uint64_t address, uint64_t bytes, uint8_t value)
{
    struct copy_stream stream;
    child_need(bed->page, copy_open(&bed->gpu, &stream) == STATUS_OK, "no stream");
    int result = bed->driver.cuMemsetD8Async(address, value, bytes, stream.stream);
    child_need(bed->page, result == DRIVER_SUCCESS, "memset: %d", result);
    wait_for(bed, &stream);
}

bool bed_holds(struct bed *bed, uint64_t address, uint64_t bytes, uint8_t value)
{
    struct copy_stream stream;
    uint8_t *data = malloc(bytes);
    child_need(bed->page, data != NULL && copy_open(&bed->gpu, &stream) == STATUS_OK, "memory");
    memset(data, value + 1, bytes);
    int result = bed->driver.cuMemcpyDtoHAsync(data, address, bytes, stream.stream);
    child_need(bed->page, result == DRIVER_SUCCESS, "copy: %d", result);
    wait_for(bed, &stream);
    bool holds = true;
    for (uint64_t i = 0; i < bytes && holds; i++) {
        holds = data[i] == value;
    }
    free(data);
    return holds;
}
