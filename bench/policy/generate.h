/* generate: loads that no public trace shows, made from a seed. Called by scenario_policy.
 *
 *   sessions  coding agents: a session grows turn by turn, at a steady pace, and dies; 32 at a time
 *   zipf      chats of a few turns behind shared system prompts, of which few are popular
 *   scan      sessions, and between them long prompts that nobody asks for again
 *   bursts    agents whose pauses are mostly short and now and then long, behind few prompts
 *   mix       one after the other: chats, sessions, scans, chats behind other prompts
 *
 * Always: same kind and seed, same trace, on every machine.
 */
#ifndef CISTERN_BENCH_POLICY_GENERATE_H
#define CISTERN_BENCH_POLICY_GENERATE_H

#include "bench/trace.h"

#include <stdbool.h>
#include <stdint.h>

enum generate_kind {
    GENERATE_SESSIONS,
    GENERATE_ZIPF,
    GENERATE_SCAN,
    GENERATE_BURSTS,
    GENERATE_MIX,
    GENERATE_COUNT
};

extern const char *const generate_names[GENERATE_COUNT];

/* Returns false if there is no memory. Closed with trace_close(). */
bool generate_open(enum generate_kind kind, uint64_t seed, struct trace *out_trace);

#endif
