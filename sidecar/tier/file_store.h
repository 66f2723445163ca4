/* file_store: the files of a directory: their names, whole or not there. Called by tier_file.
 *
 *   DIRECTORY/lock                      held by whoever has it open
 *   DIRECTORY/<space>-<key>.block       a record: header, payload; names in hexadecimal digits
 *   DIRECTORY/unfinished                a record that is being written; renamed when it is whole
 *
 * Always: no other file is touched. Calls return 0 or an errno; a file that ends early is -1.
 */
#ifndef CISTERN_SIDECAR_TIER_FILE_STORE_H
#define CISTERN_SIDECAR_TIER_FILE_STORE_H

#include "sidecar/tier/file_index.h"
#include "sidecar/tier/record.h"

#define FILE_STORE_PATH 256u
#define FILE_STORE_SCAN_MAX 1000000u /* files of a directory that are looked at */

struct file_store {
    int directory; /* owned */
    int lock; /* owned */
    bool open;
    uint64_t foreign; /* files in the directory that are not ours */
    uint64_t spoiled; /* blocks that were no records any more when they were found */
    char path[FILE_STORE_PATH];
};

/* Open the directory and lock it. Returns 0; STATUS_BUSY: another process has it; STATUS_IO;
 * STATUS_INVALID; and `why` with the remedy. */
int file_store_open(
    const char *directory, struct file_store *out_store, char *why, size_t why_bytes);

/* `sync`: what was written survives the loss of power from then on. Accepts a zeroed one. */
void file_store_close(struct file_store *store, bool sync);

/* Find the blocks of an earlier life, oldest first. Returns 0, STATUS_IO or STATUS_NO_MEMORY. */
int file_store_scan(
    struct file_store *store, struct file_index *index, char *why, size_t why_bytes);

/* What a record takes on the disk. */
uint64_t file_store_bytes(uint64_t stored_bytes);

int file_store_write(struct file_store *store, const struct tier_id *id,
    const struct record_header *header, const void *payload);
void file_store_remove(struct file_store *store, const struct tier_id *id);

/* ENOENT: the file is gone; then, and whenever not 0, the descriptor is -1. */
int file_store_open_block(
    const struct file_store *store, const struct tier_id *id, int *out_descriptor);
int file_store_read(int descriptor, uint64_t offset, void *out_data, uint64_t bytes);
void file_store_close_block(int descriptor);

/* One sentence about an errno, with the remedy. */
void file_store_explain(
    const struct file_store *store, int error, char *out_text, size_t text_bytes);

/* The name of a block's file; room for FILE_STORE_NAME. */
#define FILE_STORE_NAME 136u
void file_store_name(const struct tier_id *id, char *out_name);

#endif
