/* keep_table: what is held for the next server: descriptors, and the few bytes that describe them.
 *
 * Filled by the keeper from what the server sends, inherited by the next server through fork(), and
 * emptied by its recovery. Always: an item is known by its kind and number, a newer one replaces an
 * older one whole, and its descriptors belong to the table until somebody takes the item out.
 */
#ifndef CISTERN_SIDECAR_KEEP_TABLE_H
#define CISTERN_SIDECAR_KEEP_TABLE_H

#include <stdint.h>

#define KEEP_TABLE_FDS 3u /* of one item */
#define KEEP_TABLE_BYTES 1024u /* that describe one item, at most */
/* 255 classes, 4096 namespaces, 8192 sessions, 2048 slabs, and a few */
#define KEEP_TABLE_ITEMS 16384u

/* What an item is. The bytes that describe it are a struct of whoever made it. */
enum keep_kind {
    KEEP_MEMORY = 1, /* pool, index and ledger; sidecar/recover */
    KEEP_DOOR = 2, /* the listening socket and the lock of its path; session/door */
    KEEP_CLASS = 3, /* by number: a size of slots; session/welcome */
    KEEP_SPACE = 4, /* by number: a namespace; session/registry */
    KEEP_SESSION = 5, /* by number: a client's lane and its pidfd; session/session */
    KEEP_DEVICE = 6, /* by number: which GPU, and what its memory is; device/devices */
    KEEP_SLAB = 7, /* by number: the descriptor of a slab of its memory; device/devices */
    KEEP_KINDS
};

struct keep_item {
    uint32_t kind;
    uint32_t id;
    uint32_t bytes;
    uint32_t fd_count;
    int fds[KEEP_TABLE_FDS];
    unsigned char *blob; /* `bytes` of them, its own; NULL if there are none */
};

struct keep_table {
    struct keep_item *items; /* NULL: empty */
    uint32_t count;
    uint32_t room;
};

/* Keep an item, in the place of the former one of its kind and number. `bytes`, `fd_count` and
 * `kind` are within their limits; the blob is copied, the descriptors are taken over.
 * Returns 0, STATUS_LIMIT or STATUS_NO_MEMORY; then the descriptors stay the caller's. */
int keep_table_put(struct keep_table *table, const struct keep_item *item);

/* Close an item and forget it. Nothing happens if there is none. */
void keep_table_drop(struct keep_table *table, uint32_t kind, uint32_t id);

/* The item, or NULL. Good until the table changes. */
struct keep_item *keep_table_find(const struct keep_table *table, uint32_t kind, uint32_t id);

/* The first item of a kind at or behind position `*position`, which moves behind it; NULL: none.
 * Take descriptors by setting them to -1; the table is not to change meanwhile. */
struct keep_item *keep_table_next(
    const struct keep_table *table, uint32_t kind, uint32_t *position);

/* Close everything. Accepts an empty table, and leaves it so. */
void keep_table_close(struct keep_table *table);

#endif
