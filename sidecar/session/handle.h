/* handle: one request of one client, already in private memory.
 *
 * Called by dispatch. Every field is the client's word: what is wrong is counted, and answered or
 * ignored, never believed. A request never makes the server wait; whoever asks for what cannot be
 * had now is told so at once.
 */
#ifndef CISTERN_SIDECAR_SESSION_HANDLE_H
#define CISTERN_SIDECAR_SESSION_HANDLE_H

#include "sidecar/session/session.h"

/* How many replies the request may cause at once; there must be room for them before it is handled.
 */
uint32_t handle_replies(const struct request *request);

/* Bytes that the server will copy for it. */
uint64_t handle_copy_bytes(const struct session *session, const struct request *request);

/* Do what the request asks. */
void handle_request(struct session *session, uint32_t seat, const struct request *request);

#endif
