/* counter: names of the counters, for the tools that print them. */
#include "shm/counter.h"

#include <assert.h>

struct row {
    const char *name;
    const char *unit;
    const char *what;
};

static const struct row rows[COUNTER_COUNT] = {
#define COUNTER(name, unit, what) {#name, unit, what},
#include "shm/counter.def"
#undef COUNTER
};

const char *counter_name(enum counter which)
{
    assert(which < COUNTER_COUNT);
    return rows[which].name;
}

const char *counter_unit(enum counter which)
{
    assert(which < COUNTER_COUNT);
    return rows[which].unit;
}

const char *counter_what(enum counter which)
{
    assert(which < COUNTER_COUNT);
    return rows[which].what;
}
