/* status: the numbers that say what a call did, for every part of Cistern.
 *
 * The table is status.def; cistern.h repeats the numbers for users, and a test compares the two.
 */
#ifndef CISTERN_SHM_STATUS_H
#define CISTERN_SHM_STATUS_H

enum status {
#define STATUS(name, number, meaning, advice) STATUS_##name = (number),
#include "shm/status.def"
#undef STATUS
};

/* Returns "CISTERN_MISS" and the like; "unknown status" for any other number. Never NULL. */
const char *status_name(int status);

/* Returns one sentence: what it means. Never NULL. */
const char *status_meaning(int status);

/* Returns one sentence: what the caller does next. Never NULL. */
const char *status_advice(int status);

#endif
