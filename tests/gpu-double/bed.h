/* bed: a process with a driver and a device: the double's in tests/gpu-double, a real one's in
 * tests/gpu, which are the same programs.
 *
 * The test program itself never loads the driver, which does not survive fork(). Each test runs in
 * a child (tests/e2e/child.h), or in several that pass descriptors. What only a double can do (be
 * late, fail on purpose, see what was forgotten) is skipped on a real device.
 */
#ifndef CISTERN_TESTS_GPU_DOUBLE_BED_H
#define CISTERN_TESTS_GPU_DOUBLE_BED_H

#include "cuda/slab.h"
#include "tests/e2e/child.h"

#define BED_SLAB_BYTES (UINT64_C(2) << 20)
#define BED_WHY 512

struct bed {
    struct child_page *page;
    struct driver driver;
    struct gpu gpu;
    struct driver_context *former;
    bool forgiven; /* the double's violations are on purpose here; by whoever opened it */
    char why[BED_WHY];
};

/* Once in a test program, before anything else: is there a driver, and a device? If not, the reason
 * was printed, and the program ends with CHECK_SKIP. */
bool bed_found(void);

/* Is it the double? A test that needs it calls bed_double() first, which skips the test if not. */
bool bed_is_double(void);
void bed_double(void);

/* Setup and teardown of the group: a state directory of its own for the double, and its removal. */
int bed_begin(void **state);
int bed_end(void **state);

/* In a child: load the driver with these switches of the double (its README; "" for none), open the
 * device that `which` names, and enter it. Ends the process on failure. */
void bed_open(struct bed *bed, struct child_page *page, const char *switches, const char *which);

/* In a child: leave and close. Of the double: the process ends with a failure if it saw missing
 * synchronisation, or use after free. */
void bed_close(struct bed *bed);

/* Controls of the double. On a device bed_delay() does nothing; tests with others are skipped. */
uint64_t bed_violations(const struct bed *bed);
void bed_fail(const struct bed *bed, const char *name, uint64_t nth, int result);
void bed_delay(const struct bed *bed, uint64_t delay_us);
void bed_break(const struct bed *bed, const char *name, uint64_t nth);

/* Write and read device memory by the host, through a stream, and wait. */
void bed_fill(struct bed *bed, uint64_t address, uint64_t bytes, uint8_t value);
bool bed_holds(struct bed *bed, uint64_t address, uint64_t bytes, uint8_t value);

#endif
