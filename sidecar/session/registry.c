/* registry: a small table, searched at attach only. */
#include "sidecar/session/registry.h"

#include "shm/status.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

int registry_open(struct registry *out_registry)
{
    struct registry registry = {.entries = calloc(REGISTRY_SPACES, sizeof *registry.entries)};
    if (registry.entries == NULL) {
        return STATUS_NO_MEMORY;
    }
    *out_registry = registry;
    return STATUS_OK;
}

void registry_close(struct registry *registry)
{
    if (registry != NULL) {
        free(registry->entries);
        *registry = (struct registry){0};
    }
}

static struct registry_entry *find(
    struct registry *registry, const struct space *space, uint64_t group)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        struct registry_entry *entry = &registry->entries[i];
        if (entry->group == group && space_same_name(&entry->space, space)) {
            return entry;
        }
    }
    return NULL;
}

/* An entry to fill: a new one, or one that no session uses (its blocks age away unseen). */
static struct registry_entry *make_room(struct registry *registry)
{
    if (registry->count < REGISTRY_SPACES) {
        return &registry->entries[registry->count++];
    }
    for (uint32_t i = 0; i < registry->count; i++) {
        if (registry->entries[i].sessions == 0) {
            return &registry->entries[i];
        }
    }
    return NULL;
}

static bool is_known(const struct registry *registry, uint32_t number)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        if (registry->entries[i].number == number) {
            return true;
        }
    }
    return false;
}

/* The next number around the field that neither a block nor an entry has; 0: none. */
static uint32_t free_number(struct registry *registry, const uint32_t *blocks_of)
{
    for (uint32_t i = 0; i < REGISTRY_NUMBER_MAX; i++) {
        registry->last_number = registry->last_number % REGISTRY_NUMBER_MAX + 1;
        if (blocks_of[registry->last_number] == 0 && !is_known(registry, registry->last_number)) {
            return registry->last_number;
        }
    }
    return 0;
}

int registry_take(struct registry *registry, const struct space *space, uint64_t group,
    const uint32_t *blocks_of, struct registry_entry **out_entry, char *out_why, size_t why_bytes)
{
    struct registry_entry *entry = find(registry, space, group);
    const char *difference = entry == NULL ? NULL : space_difference(&entry->space, space);
    if (difference != NULL && entry->sessions > 0) {
        (void)snprintf(out_why, why_bytes,
            "namespace '%s': %s differs from what %u attached worker(s) use; make it equal, or use "
            "another name",
            space->name, difference, entry->sessions);
        return STATUS_NAMESPACE;
    }
    if (entry == NULL || difference != NULL) {
        entry = entry == NULL ? make_room(registry) : entry;
        uint32_t number = entry == NULL ? 0 : free_number(registry, blocks_of);
        if (number == 0) {
            (void)snprintf(out_why, why_bytes,
                "too many namespaces in use, or with blocks in the pool (%u at most); use fewer",
                REGISTRY_SPACES);
            return STATUS_LIMIT;
        }
        struct registry_record record = {.space = *space, .group = group};
        if (entry->number != 0) {
            /* First, so that a successor never finds the name twice. */
            keep_drop(registry->keep, KEEP_SPACE, entry->number);
        }
        int status = keep_hold(registry->keep, KEEP_SPACE, number, &record, sizeof record, NULL, 0);
        if (status != STATUS_OK) {
            (void)snprintf(out_why, why_bytes, "the sidecar's keeper does not answer; try again");
            return status;
        }
        *entry = (struct registry_entry){.space = *space, .group = group, .number = number};
    }
    entry->sessions++;
    *out_entry = entry;
    return STATUS_OK;
}

int registry_adopt(struct registry *registry, uint32_t number, const struct registry_record *record)
{
    if (number == 0 || number > REGISTRY_NUMBER_MAX || space_check(&record->space) != NULL ||
        is_known(registry, number) || find(registry, &record->space, record->group) != NULL ||
        registry->count == REGISTRY_SPACES) {
        return STATUS_MALFORMED;
    }
    registry->entries[registry->count++] =
        (struct registry_entry){.space = record->space, .group = record->group, .number = number};
    /* New numbers go on behind the old ones. */
    registry->last_number = number > registry->last_number ? number : registry->last_number;
    return STATUS_OK;
}

static struct registry_entry *by_number(struct registry *registry, uint32_t number)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        if (registry->entries[i].number == number) {
            return &registry->entries[i];
        }
    }
    return NULL;
}

bool registry_join(struct registry *registry, uint32_t number)
{
    struct registry_entry *entry = by_number(registry, number);
    if (entry != NULL) {
        entry->sessions++;
    }
    return entry != NULL;
}

void registry_drop(struct registry *registry, uint32_t number)
{
    struct registry_entry *entry = by_number(registry, number);
    if (entry != NULL) {
        assert(entry->sessions > 0);
        entry->sessions--;
    }
}
