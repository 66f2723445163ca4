/* cases: what every tier promises, one function a promise; *state is a struct conform. */
#ifndef CISTERN_TESTS_CONFORM_CASES_H
#define CISTERN_TESTS_CONFORM_CASES_H

/* cases_store: a tier in order. */
void cases_store_comes_back(void **state);
void cases_store_twice(void **state);
void cases_store_other_namespace(void **state);
void cases_store_miss(void **state);
void cases_store_drop(void **state);
void cases_store_room(void **state);
void cases_store_parts(void **state);
void cases_store_many(void **state);
void cases_store_small_polls(void **state);
void cases_store_health(void **state);
void cases_store_describe(void **state);

/* cases_life: room, time, restarts and damage. */
void cases_life_capacity(void **state);
void cases_life_reopen(void **state);
void cases_life_close_under_way(void **state);
void cases_life_second_opener(void **state);
void cases_life_late(void **state);
void cases_life_urgent(void **state);
void cases_life_corrupt(void **state);
void cases_life_torn(void **state);
void cases_life_spoiled_while_closed(void **state);
void cases_life_other_key(void **state);

#endif
