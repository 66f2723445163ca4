/* budget: how many bytes a day may be written to disks that wear out: a bucket that fills steadily.
 *
 * Called by the front of tier_nvme on the server's thread, with the time of the call. Always: over
 * any span, no more is written than the span's share, an hour's worth, and one block. Not kept
 * across restarts; a new bucket holds one minute's worth, so a daemon that is restarted all the
 * time gains at most that each time.
 */
#ifndef CISTERN_SIDECAR_TIER_BUDGET_H
#define CISTERN_SIDECAR_TIER_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
    uint64_t bytes_a_day; /* 0: no bound */
    int64_t level; /* bytes that may be written now; below 0: in debt */
    uint64_t filled_ns; /* up to which moment the bucket was filled */
};

void budget_init(struct budget *out_budget, uint64_t bytes_a_day, uint64_t now_ns);

/* May something be written now? Then a write of any size may begin: its size becomes debt. */
bool budget_allows(struct budget *budget, uint64_t now_ns);

/* Count what was, or will be, written; negative: what was counted and not written. */
void budget_take(struct budget *budget, int64_t bytes);

#endif
