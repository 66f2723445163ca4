/* baseline_table: keys are hashes already, so eight of their bytes choose the place. */
#include "bench/baseline_table.h"

#include <stdlib.h>
#include <string.h>

bool baseline_table_open(struct baseline_table *out_table, uint64_t room)
{
    uint64_t entries = 16;
    while (entries < room * 2) {
        entries *= 2;
    }
    struct baseline_table table = {.mask = entries - 1, .room = room};
    table.entries = malloc(entries * sizeof table.entries[0]);
    if (table.entries == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < entries; i++) {
        table.entries[i].value = BASELINE_TABLE_NONE;
    }
    *out_table = table;
    return true;
}

void baseline_table_close(struct baseline_table *table)
{
    free(table->entries);
    *table = (struct baseline_table){0};
}

/* The entry of `key`, or the free one where it belongs: one is free, the table is half empty. */
static struct baseline_table_entry *entry_of(
    const struct baseline_table *table, const struct cistern_key *key)
{
    uint64_t at;
    memcpy(&at, key->bytes, sizeof at);
    for (;; at++) {
        struct baseline_table_entry *entry = &table->entries[at & table->mask];
        if (entry->value == BASELINE_TABLE_NONE || memcmp(&entry->key, key, sizeof *key) == 0) {
            return entry;
        }
    }
}

uint64_t baseline_table_add(
    struct baseline_table *table, const struct cistern_key *key, uint64_t value)
{
    struct baseline_table_entry *entry = entry_of(table, key);
    if (entry->value == BASELINE_TABLE_NONE && table->count < table->room) {
        entry->key = *key;
        entry->value = value;
        table->count++;
    }
    return entry->value;
}

uint64_t baseline_table_find(const struct baseline_table *table, const struct cistern_key *key)
{
    return entry_of(table, key)->value;
}
