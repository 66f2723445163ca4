/* fake_fault: see fake_fault.h. */
#include "tests/fakes/cuda/fake_fault.h"

#include "tests/fakes/cuda/fake_context.h"

#define FAULTS 32
#define SPENT UINT64_MAX

static struct {
    enum fake_entry entry;
    uint64_t left; /* 0: every call; SPENT: it struck */
    int result;
    bool is_sticky;
} faults[FAULTS];
static size_t count;

bool fake_fault_add(const char *name, uint64_t nth, int result, bool is_sticky)
{
    enum fake_entry entry = fake_entry_find(name);
    if (entry == FAKE_ENTRIES || count == FAULTS) {
        return false;
    }
    faults[count].entry = entry;
    faults[count].left = nth;
    faults[count].result = result;
    faults[count++].is_sticky = is_sticky;
    return true;
}

void fake_fault_clear(void)
{
    count = 0;
}

int fake_fault_strike(enum fake_entry entry, struct driver_context *context)
{
    int result = DRIVER_SUCCESS;
    for (size_t i = 0; i < count; i++) {
        if (faults[i].entry != entry || faults[i].left == SPENT) {
            continue;
        }
        if (faults[i].left > 1) {
            faults[i].left--;
            continue;
        }
        if (faults[i].left == 1) {
            faults[i].left = SPENT;
        }
        if (faults[i].is_sticky) {
            fake_context_break(context, DRIVER_ILLEGAL_ADDRESS);
        }
        result = faults[i].result;
    }
    return result;
}
