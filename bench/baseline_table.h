/* baseline_table: a plain hash table inside one process, what an engine's own prefix cache is
 * made of.
 *
 * Open addressing, linear probing, at most half full, huge enough from the start. The baseline
 * beside `hit`, and the dictionary of the trace reader. No threads, no removal.
 */
#ifndef CISTERN_BENCH_BASELINE_TABLE_H
#define CISTERN_BENCH_BASELINE_TABLE_H

#include <cistern.h>

#include <stdbool.h>
#include <stdint.h>

#define BASELINE_TABLE_NONE UINT64_MAX

struct baseline_table_entry {
    struct cistern_key key;
    uint64_t value; /* BASELINE_TABLE_NONE: the entry is free */
};

struct baseline_table {
    struct baseline_table_entry *entries; /* owned */
    uint64_t mask;
    uint64_t count;
    uint64_t room;
};

/* Room for `room` keys. Returns false if there is no memory. */
bool baseline_table_open(struct baseline_table *out_table, uint64_t room);
void baseline_table_close(struct baseline_table *table);

/* The value of `key`; where it is new and there is room, `value` is stored and returned. */
uint64_t baseline_table_add(
    struct baseline_table *table, const struct cistern_key *key, uint64_t value);

/* The value of `key`, or BASELINE_TABLE_NONE. */
uint64_t baseline_table_find(const struct baseline_table *table, const struct cistern_key *key);

#endif
