/* keep_table: a short array, searched from the start: it changes when a client comes or goes. */
#include "sidecar/keep_table.h"

#include "shm/status.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void close_item(struct keep_item *item)
{
    for (uint32_t i = 0; i < item->fd_count; i++) {
        if (item->fds[i] >= 0) {
            (void)close(item->fds[i]);
        }
    }
    free(item->blob);
}

struct keep_item *keep_table_find(const struct keep_table *table, uint32_t kind, uint32_t id)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->items[i].kind == kind && table->items[i].id == id) {
            return &table->items[i];
        }
    }
    return NULL;
}

struct keep_item *keep_table_next(const struct keep_table *table, uint32_t kind, uint32_t *position)
{
    while (*position < table->count) {
        struct keep_item *item = &table->items[(*position)++];
        if (item->kind == kind) {
            return item;
        }
    }
    return NULL;
}

/* A place at the end for one more. Returns NULL if there is no memory. */
static struct keep_item *append(struct keep_table *table)
{
    if (table->count == table->room) {
        uint32_t room = table->room == 0 ? 64 : 2 * table->room;
        struct keep_item *items = realloc(table->items, room * sizeof *items);
        if (items == NULL) {
            return NULL;
        }
        table->items = items;
        table->room = room;
    }
    return &table->items[table->count++];
}

int keep_table_put(struct keep_table *table, const struct keep_item *item)
{
    assert(item->kind > 0 && item->kind < KEEP_KINDS);
    assert(item->fd_count <= KEEP_TABLE_FDS && item->bytes <= KEEP_TABLE_BYTES);
    unsigned char *blob = item->bytes == 0 ? NULL : malloc(item->bytes);
    if (blob == NULL && item->bytes > 0) {
        return STATUS_NO_MEMORY;
    }
    struct keep_item *place = keep_table_find(table, item->kind, item->id);
    if (place != NULL) {
        close_item(place);
    } else if (table->count == KEEP_TABLE_ITEMS) {
        free(blob);
        return STATUS_LIMIT;
    } else {
        place = append(table);
        if (place == NULL) {
            free(blob);
            return STATUS_NO_MEMORY;
        }
    }
    *place = *item;
    place->blob = blob;
    if (blob != NULL) {
        memcpy(blob, item->blob, item->bytes);
    }
    return STATUS_OK;
}

void keep_table_drop(struct keep_table *table, uint32_t kind, uint32_t id)
{
    struct keep_item *item = keep_table_find(table, kind, id);
    if (item != NULL) {
        close_item(item);
        *item = table->items[--table->count];
    }
}

void keep_table_close(struct keep_table *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        close_item(&table->items[i]);
    }
    free(table->items);
    *table = (struct keep_table){0};
}
