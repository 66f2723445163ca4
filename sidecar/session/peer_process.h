/* peer_process: a pidfd of the process behind a socket: the judge of its death.
 *
 * Called by welcome. A hang-up proves nothing about a process (a forked child keeps the socket, a
 * living client can lose it); the pidfd does.
 */
#ifndef CISTERN_SIDECAR_SESSION_PEER_PROCESS_H
#define CISTERN_SIDECAR_SESSION_PEER_PROCESS_H

#include <stdint.h>

/* The pidfd, by SO_PEERPIDFD (Linux 6.5), else by pidfd_open() of `pid`, whose process must be
 * older than this call: else the number was used again. Returns -1 and errno if there is neither.
 */
int peer_process_open(int socket, int32_t pid);

/* When a process started, in clock ticks since boot, from the text of /proc/PID/stat; 0 if the text
 * makes no sense. */
uint64_t peer_process_start(const char *stat);

#endif
