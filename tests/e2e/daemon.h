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
    pid_t pid; /* of what was started: the keeper, or with --no-keeper the server; 0: none */
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

/* kill -9 of all of it, keeper and server, and wait until it is gone: nothing of it can be taken
 * over. The folder stays. */
void daemon_kill(struct daemon *daemon);

/* The process that serves now, by its own word; 0 if nobody answers. */
pid_t daemon_server(const struct daemon *daemon);

/* kill -9 of the server alone, and wait until it is gone. The keeper starts another one: see
 * daemon_awaits(). Returns the pid that it had, 0 if nobody answered. */
pid_t daemon_kill_server(const struct daemon *daemon);

/* Wait until a server answers that is not `old`. Returns its pid; 0 at a deadline, with the log on
 * stderr. */
pid_t daemon_awaits(const struct daemon *daemon, pid_t old);

/* Start it again on the same socket, after daemon_stop() or daemon_kill(). */
bool daemon_restart(struct daemon *daemon);

/* Does it run, as far as the kernel knows? */
bool daemon_lives(const struct daemon *daemon);

/* Does its log hold these words? Or will it: false, with the log on stderr, at a deadline. */
bool daemon_logged(const struct daemon *daemon, const char *words);
bool daemon_logs(const struct daemon *daemon, const char *words);

/* Copy its log to stderr. */
void daemon_show_log(const struct daemon *daemon);

/* Stop it if it runs, and remove its folder. Accepts one that never started. */
void daemon_close(struct daemon *daemon);

/* Set-up and tear-down of a cmocka test that wants a sidecar of its own, with no flags, as its
 * state. The tear-down fails if the sidecar did not stop cleanly. */
int daemon_set_up(void **state);
int daemon_tear_down(void **state);

#endif
