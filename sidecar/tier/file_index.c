/* file_index: see file_index.h. */
#include "sidecar/tier/file_index.h"

#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BUCKETS 4096u /* a file a block: more than some thousands is another tier's work */

int file_index_open(struct file_index *out_index)
{
    struct file_entry **buckets = calloc(BUCKETS, sizeof(struct file_entry *));
    if (buckets == NULL) {
        return STATUS_NO_MEMORY;
    }
    *out_index = (struct file_index){.buckets = buckets, .bucket_count = BUCKETS};
    return STATUS_OK;
}

void file_index_close(struct file_index *index)
{
    while (index->oldest != NULL) {
        file_index_remove(index, index->oldest);
    }
    free(index->buckets);
    *index = (struct file_index){.buckets = NULL};
}

static struct file_entry **bucket_of(const struct file_index *index, const struct tier_id *id)
{
    return &index->buckets[XXH3_64bits(id, sizeof *id) & (index->bucket_count - 1)];
}

struct file_entry *file_index_find(const struct file_index *index, const struct tier_id *id)
{
    struct file_entry *entry = *bucket_of(index, id);
    while (entry != NULL && memcmp(&entry->id, id, sizeof *id) != 0) {
        entry = entry->next_in_bucket;
    }
    return entry;
}

int file_index_add(struct file_index *index, const struct file_entry *entry)
{
    struct file_entry **bucket = bucket_of(index, &entry->id);
    struct file_entry *added = malloc(sizeof *added);
    assert(file_index_find(index, &entry->id) == NULL);
    if (added == NULL) {
        return STATUS_NO_MEMORY;
    }
    *added = *entry;
    added->next_in_bucket = *bucket;
    *bucket = added;
    added->older = index->newest;
    added->newer = NULL;
    if (index->newest != NULL) {
        index->newest->newer = added;
    } else {
        index->oldest = added;
    }
    index->newest = added;
    if (!added->said && index->unsaid == NULL) {
        index->unsaid = added;
    }
    index->count++;
    index->bytes += added->file_bytes;
    return STATUS_OK;
}

void file_index_remove(struct file_index *index, struct file_entry *entry)
{
    struct file_entry **link = bucket_of(index, &entry->id);
    while (*link != entry) {
        link = &(*link)->next_in_bucket;
    }
    *link = entry->next_in_bucket;
    *(entry->older != NULL ? &entry->older->newer : &index->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &index->newest) = entry->older;
    if (index->unsaid == entry) {
        index->unsaid = entry->newer;
    }
    index->count--;
    index->bytes -= entry->file_bytes;
    free(entry);
}

const struct file_entry *file_index_say(struct file_index *index)
{
    while (index->unsaid != NULL) {
        struct file_entry *entry = index->unsaid;
        index->unsaid = entry->newer;
        if (!entry->said) {
            entry->said = true;
            return entry;
        }
    }
    return NULL;
}
