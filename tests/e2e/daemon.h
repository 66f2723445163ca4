/* daemon: a cisternd of the test's own, in a folder of its own.
 *
 * Called by the tests that want the real thing (e2e, budget, fault). It dies with the test, however
 * the test dies. Its log goes to a file in the folder; a test that fails prints it.
 */
#ifndef CISTERN_TESTS_E2E_DAEMON_H
#define CISTERN_TESTS_E2E_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

#define DAEMON_FLAGS 8

struct daemon {
    char folder[64];
    char socket[96]; /* what clients connect to */
    char log[96];
    char program[512];
    const char *flags[DAEMON_FLAGS + 1]; /* further ones, NULL at the end; the caller's texts */
    pid_t pid; /* 0: not running */
};

/* Is the program built? A test for which it is not skips (exit 77, and says so). */
bool daemon_is_built(void);

/* Start one with a pool of 16 MiB, extents of 1 MiB and the `flags` (NULL at the end, or NULL),
 * and wait until it answers. Returns false, after a line and the log on stderr. */
bool daemon_start(struct daemon *out_daemon, const char *const flags[]);

/* Forget every CISTERN_… variable: those of the tests are unknown to cisternd, which refuses
 * unknown ones, and the user's own are no part of a test. For a child that is about to become
 * cisternd. */
void daemon_clean_environment(void);

/* SIGTERM, a deadline, then SIGKILL. Returns true if it ended by itself with status 0. */
bool daemon_stop(struct daemon *daemon);

/* kill -9, and wait until it is gone. The folder stays. */
void daemon_kill(struct daemon *daemon);

/* Start it again on the same socket, after daemon_stop() or daemon_kill(). */
bool daemon_restart(struct daemon *daemon);

/* Does it run, as far as the kernel knows? */
bool daemon_lives(const struct daemon *daemon);

/* Copy its log to stderr. */
void daemon_show_log(const struct daemon *daemon);

/* Stop it if it runs, and remove its folder. Accepts one that never started. */
void daemon_close(struct daemon *daemon);

/* Set-up and tear-down of a cmocka test that wants a sidecar of its own, with no flags, as its
 * state. The tear-down fails if the sidecar did not stop cleanly. */
int daemon_set_up(void **state);
int daemon_tear_down(void **state);

#endif
