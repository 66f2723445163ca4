/* cuda_double: see cuda_double.h. */
#include "tests/fakes/cuda/cuda_double.h"

#include "tests/fakes/cuda/fake_fault.h"
#include "tests/fakes/cuda/fake_lock.h"
#include "tests/fakes/cuda/fake_settings.h"
#include "tests/fakes/cuda/fake_violation.h"

#define EXPORTED __attribute__((visibility("default")))

static int add(const char *name, uint64_t nth, int result, bool is_sticky)
{
    fake_lock_take();
    fake_settings_freeze();
    bool added = fake_fault_add(name, nth, result, is_sticky);
    fake_lock_drop();
    return added ? 0 : -1;
}

EXPORTED int cuda_double_fail(const char *name, uint64_t nth, int result)
{
    return add(name, nth, result, false);
}

EXPORTED int cuda_double_break(const char *name, uint64_t nth)
{
    return add(name, nth, DRIVER_ILLEGAL_ADDRESS, true);
}

EXPORTED void cuda_double_delay_us(uint64_t delay_us)
{
    fake_lock_take();
    fake_settings_delay(delay_us);
    fake_lock_drop();
}

EXPORTED void cuda_double_reset_faults(void)
{
    fake_lock_take();
    fake_settings_freeze();
    fake_fault_clear();
    fake_lock_drop();
}

EXPORTED uint64_t cuda_double_violations(void)
{
    fake_lock_take();
    uint64_t count = fake_violation_count();
    fake_lock_drop();
    return count;
}

EXPORTED const char *cuda_double_first_violation(void)
{
    fake_lock_take();
    const char *first = fake_violation_first();
    fake_lock_drop();
    return first;
}
