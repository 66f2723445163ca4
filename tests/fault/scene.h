/* scene: a sidecar, an honest worker, and a check that an intruder did no harm to either.
 *
 * Each hostile test is: scene_open, an attack in a child, scene_is_unharmed, scene_close.
 */
#ifndef CISTERN_TESTS_FAULT_SCENE_H
#define CISTERN_TESTS_FAULT_SCENE_H

#include "tests/e2e/child.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/gauge.h"

struct scene {
    struct daemon daemon;
    struct gauge gauge;
    struct child honest; /* attached all the time; works when it is told to */
    uint32_t rounds; /* it was told to work */
};

/* For cmocka's setup and teardown: *state is the scene. */
int scene_open(void **state);
int scene_close(void **state);

/* Let the honest worker commit and read blocks, and see that the sidecar lives, that only the
 * honest worker is left, and that nothing is lent but to it. Returns false with the reason on
 * stderr. */
bool scene_is_unharmed(struct scene *scene);

#endif
