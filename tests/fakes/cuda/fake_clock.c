/* fake_clock: see fake_clock.h. */
#include "tests/fakes/cuda/fake_clock.h"

static struct {
    bool is_used;
    uint64_t last;
} actors[FAKE_ACTORS];

bool fake_clock_take(int *out_actor, struct fake_clock *out_clock)
{
    for (int actor = FAKE_HOST + 1; actor < FAKE_ACTORS; actor++) {
        if (!actors[actor].is_used) {
            actors[actor].is_used = true;
            *out_clock = (struct fake_clock){{0}};
            out_clock->tick[actor] = actors[actor].last;
            *out_actor = actor;
            return true;
        }
    }
    return false;
}

void fake_clock_drop(int actor, const struct fake_clock *clock)
{
    actors[actor].is_used = false;
    actors[actor].last = clock->tick[actor];
}

void fake_clock_join(struct fake_clock *into, const struct fake_clock *from)
{
    for (int actor = 0; actor < FAKE_ACTORS; actor++) {
        if (into->tick[actor] < from->tick[actor]) {
            into->tick[actor] = from->tick[actor];
        }
    }
}
