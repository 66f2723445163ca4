/* process: a server program of a run, on a socket in a temporary folder: cisternd, redis-server.
 *
 * Called by bench/daemon and bench/baseline_redis. Always: a process is ended by its pid, its
 * folder is removed, also when the bench is interrupted. If the bench is killed with -9, the kernel
 * ends the process; an empty folder stays.
 */
#ifndef CISTERN_BENCH_PROCESS_H
#define CISTERN_BENCH_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_PATH_BYTES 96 /* fits sun_path */

struct process {
    pid_t pid; /* 0: not running */
    char folder[PROCESS_PATH_BYTES]; /* "": none */
    char socket_path[PROCESS_PATH_BYTES];
    char lock_path[PROCESS_PATH_BYTES]; /* what cisternd leaves beside its socket */
};

/* A program: `given`, else the one at `beside`, seen from ours. `option`, if not NULL, is how to
 * name another. Returns false with a line on stderr if there is none. */
bool process_find(
    const char *given, const char *beside, const char *option, char out_path[PATH_MAX]);

/* Remove what was started if SIGINT, SIGTERM or SIGHUP ends the bench; once, before the first
 * start. */
void process_guard(void);

/* Make the temporary folder, and name the socket in it. Returns false with a line on stderr. */
bool process_prepare(struct process *out_process, const char *socket_name);

/* Run argv[0] (searched in PATH unless it has a slash) on `core` (-1: anywhere) with its working
 * directory in the folder, and wait until its socket accepts a connection. Returns false after a
 * line on stderr; the process is then stopped. */
bool process_start(
    struct process *process, char *const argv[], int core, bool quiet, int64_t timeout_ns);

/* True while it has not ended by itself. */
bool process_alive(const struct process *process);

/* The child that it has started itself, as a keeper its server; 0: none, or the kernel does not
 * say. */
pid_t process_child(const struct process *process);

/* CPU seconds it has used, from /proc; 0 if unknown. */
double process_cpu_seconds(const struct process *process);

/* End it: SIGTERM, after 10 s SIGKILL. Removes socket and folder. Accepts one that never started.
 * */
void process_stop(struct process *process);

#endif
