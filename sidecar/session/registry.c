/* registry: a small table, searched at attach only. */
#include "sidecar/session/registry.h"

#include "shm/status.h"

#include <assert.h>
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

int registry_take(struct registry *registry, const struct space *space, uint64_t group,
    uint32_t size_class, struct registry_entry **out_entry, char *out_why, size_t why_bytes)
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
        if (registry->last_number == REGISTRY_NUMBER_MAX ||
            (entry == NULL && (entry = make_room(registry)) == NULL)) {
            (void)snprintf(out_why, why_bytes,
                "too many namespaces: at most %u at one time, %u until a restart", REGISTRY_SPACES,
                REGISTRY_NUMBER_MAX);
            return STATUS_LIMIT;
        }
        *entry = (struct registry_entry){
            .space = *space,
            .group = group,
            .number = ++registry->last_number,
            .size_class = size_class,
        };
    }
    entry->sessions++;
    *out_entry = entry;
    return STATUS_OK;
}

void registry_drop(struct registry *registry, uint32_t number)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        if (registry->entries[i].number == number) {
            assert(registry->entries[i].sessions > 0);
            registry->entries[i].sessions--;
            return;
        }
    }
}
