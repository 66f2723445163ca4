/* tier_file: see tier_file.h. */
#include "sidecar/tier/tier_file.h"

#include "shm/status.h"
#include "sidecar/moment.h"
#include "sidecar/tier/file_index.h"
#include "sidecar/tier/file_read.h"
#include "sidecar/tier/file_store.h"
#include "sidecar/tier/tier_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE UINT64_C(4096)
#define QUEUE_EVENTS 4096u
#define STORE_EVENTS 2u /* STORED, and a LOST for each block that makes room */
#define LOAD_EVENTS 3u /* PART, LOADED, and LOST if it turns out to be gone */

/* Memory that grows as blocks do. */
struct buffer {
    void *memory; /* owned */
    uint64_t bytes;
};

struct tier_file {
    struct tier tier;
    struct file_store store;
    struct file_index index;
    struct tier_queue queue;
    struct record_rules rules;
    struct seal seal;
    struct buffer scratch;
    struct buffer payload;
    struct tier_health health;
};

static struct tier_file *of(struct tier *tier)
{
    return (struct tier_file *)tier;
}

static const struct tier_file *of_const(const struct tier *tier)
{
    return (const struct tier_file *)tier;
}

static bool reserve(struct buffer *buffer, uint64_t bytes)
{
    uint64_t rounded = (bytes + PAGE - 1) / PAGE * PAGE;
    if (rounded <= buffer->bytes) {
        return true;
    }
    free(buffer->memory);
    buffer->memory = aligned_alloc(PAGE, rounded);
    buffer->bytes = buffer->memory == NULL ? 0 : rounded;
    return buffer->memory != NULL;
}

static void push(struct tier_file *file, enum tier_event event, const struct tier_id *id,
    uint64_t cookie, uint64_t bytes, int status)
{
    struct tier_done done = {
        .cookie = cookie, .id = *id, .bytes = bytes, .event = event, .status = status};
    tier_queue_push(&file->queue, &done);
}

/* The block is no more, and whoever knew of it is told. */
static void lose(struct tier_file *file, struct file_entry *entry)
{
    struct tier_id id = entry->id;
    bool said = entry->said;
    file_store_remove(&file->store, &id);
    file_index_remove(&file->index, entry);
    if (said) {
        push(file, TIER_LOST, &id, 0, 0, STATUS_OK);
    }
}

/* The device refused or failed: count it, and say what to do. */
static void complain(struct tier_file *file, int error)
{
    file->health.errors++;
    file_store_explain(&file->store, error, file->health.note, sizeof file->health.note);
}

/* Returns 0; STATUS_BUSY: the events have to be taken first. */
static int make_room(struct tier_file *file, uint64_t bytes)
{
    while (file->index.bytes + bytes > file->health.capacity_bytes) {
        if (tier_queue_left(&file->queue) < STORE_EVENTS) {
            return STATUS_BUSY;
        }
        file->health.dropped++;
        lose(file, file->index.oldest);
    }
    return STATUS_OK;
}

static void write_block(struct tier_file *file, const struct tier_block *block, uint64_t cookie,
    const struct record_header *header, const void *payload)
{
    struct file_entry entry = {.id = block->id,
        .raw_bytes = block->bytes,
        .file_bytes = file_store_bytes(header->stored_bytes),
        .said = true};
    int error = file_store_write(&file->store, &block->id, header, payload);
    if (error == 0 && file_index_add(&file->index, &entry) != STATUS_OK) {
        file_store_remove(&file->store, &block->id);
        error = ENOMEM;
    }
    if (error != 0) {
        complain(file, error);
        push(file, TIER_STORED, &block->id, cookie, 0, STATUS_IO);
        return;
    }
    file->health.stores++;
    file->health.stored_bytes += block->bytes;
    file->health.written_bytes += RECORD_HEADER_BYTES + header->stored_bytes;
    push(file, TIER_STORED, &block->id, cookie, 0, STATUS_OK);
}

static int store(struct tier *tier, const struct tier_block *block, uint64_t cookie)
{
    struct tier_file *file = of(tier);
    struct record_header header;
    const void *payload = NULL;
    double error = 0;
    if (block->bytes == 0 || block->bytes > UINT32_MAX) {
        return STATUS_TOO_LARGE;
    }
    if (file_index_find(&file->index, &block->id) != NULL) {
        return STATUS_OK;
    }
    if (tier_queue_left(&file->queue) < STORE_EVENTS ||
        !reserve(&file->scratch, record_scratch_bytes(&file->rules, block->bytes)) ||
        record_encode(&file->rules, block, file->scratch.memory, &header, &payload, &error) !=
            STATUS_OK) {
        file->health.refused++;
        return STATUS_BUSY;
    }
    uint64_t file_bytes = file_store_bytes(header.stored_bytes);
    if (file_bytes > file->health.capacity_bytes) {
        file->health.refused++;
        return STATUS_TOO_LARGE;
    }
    int status = make_room(file, file_bytes);
    if (status != STATUS_OK) {
        file->health.refused++;
        return status;
    }
    if (error > file->health.error_worst) {
        file->health.error_worst = error;
    }
    write_block(file, block, cookie, &header, payload);
    return STATUS_PENDING;
}

/* It is there, whole. */
static void count_load(struct tier_health *health, uint64_t bytes, uint64_t took_ns)
{
    uint64_t step = health->load_ns / 16 + 1;
    health->loads++;
    health->loaded_bytes += bytes;
    if (health->load_ns == 0) {
        health->load_ns = took_ns;
    } else if (took_ns > health->load_ns) {
        health->load_ns += step;
    } else {
        health->load_ns -= step - 1;
    }
}

/* It is not what was stored. A descriptor below 0: it is not there at all. */
static void count_corrupt(struct tier_file *file, int descriptor, int status)
{
    if (status == STATUS_DENIED) {
        (void)snprintf(file->health.note, sizeof file->health.note,
            "%.60s: a block was written under another encryption key: use that key, or empty it",
            file->store.path);
    }
    file->health.corrupt += descriptor < 0 ? 0 : 1;
}

/* Read it, and say how it ended. */
static void read_block(struct tier_file *file, const struct tier_wish *wish, uint64_t cookie,
    struct file_entry *entry, int descriptor)
{
    uint64_t began = moment_ns();
    struct file_read read = {.rules = &file->rules,
        .wish = wish,
        .raw_bytes = entry->raw_bytes,
        .descriptor = descriptor,
        .payload = file->payload.memory,
        .scratch = file->scratch.memory};
    struct file_read_done done = {.error = 0};
    int status = descriptor < 0 ? STATUS_MISS : file_read(&read, &done);
    file->health.read_bytes += done.read_bytes;
    if (done.part_bytes > 0) {
        push(file, TIER_PART, &wish->id, cookie, done.part_bytes, STATUS_OK);
    }
    if (status == STATUS_OK) {
        count_load(&file->health, entry->raw_bytes, moment_ns() - began);
        push(file, TIER_LOADED, &wish->id, cookie, entry->raw_bytes, STATUS_OK);
    } else if (status == STATUS_IO) {
        complain(file, done.error);
        push(file, TIER_LOADED, &wish->id, cookie, 0, STATUS_IO);
    } else {
        count_corrupt(file, descriptor, status);
        push(file, TIER_LOADED, &wish->id, cookie, 0, STATUS_MISS);
        lose(file, entry);
    }
}

static int load(struct tier *tier, const struct tier_wish *wish, uint64_t cookie)
{
    struct tier_file *file = of(tier);
    struct file_entry *entry = file_index_find(&file->index, &wish->id);
    if (entry == NULL) {
        return STATUS_MISS;
    }
    if (entry->raw_bytes > wish->room) {
        return STATUS_TOO_LARGE;
    }
    if (tier_queue_left(&file->queue) < LOAD_EVENTS || !reserve(&file->payload, entry->raw_bytes) ||
        !reserve(&file->scratch, record_scratch_bytes(&file->rules, entry->raw_bytes))) {
        return STATUS_BUSY;
    }
    if (wish->deadline_ns <= moment_ns()) {
        file->health.late++;
        push(file, TIER_LOADED, &wish->id, cookie, 0, STATUS_MISS);
        return STATUS_PENDING;
    }
    int descriptor = -1;
    int error = file_store_open_block(&file->store, &wish->id, &descriptor);
    if (error != 0 && error != ENOENT) {
        complain(file, error);
        push(file, TIER_LOADED, &wish->id, cookie, 0, STATUS_IO);
        return STATUS_PENDING;
    }
    read_block(file, wish, cookie, entry, descriptor);
    file_store_close_block(descriptor);
    return STATUS_PENDING;
}

static void drop(struct tier *tier, const struct tier_id *id)
{
    struct tier_file *file = of(tier);
    struct file_entry *entry = file_index_find(&file->index, id);
    if (entry != NULL) {
        file_store_remove(&file->store, id);
        file_index_remove(&file->index, entry);
    }
}

static uint32_t poll(struct tier *tier, uint64_t now_ns, struct tier_done *out_done, uint32_t room)
{
    struct tier_file *file = of(tier);
    (void)now_ns;
    uint32_t count = tier_queue_pop(&file->queue, out_done, room);
    while (count < room) {
        const struct file_entry *entry = file_index_say(&file->index);
        if (entry == NULL) {
            break;
        }
        out_done[count++] = (struct tier_done){
            .id = entry->id, .bytes = entry->raw_bytes, .event = TIER_FOUND, .status = STATUS_OK};
    }
    return count;
}

static int no_descriptor(const struct tier *tier)
{
    (void)tier;
    return -1;
}

static void describe(const struct tier *tier, char *out_text, size_t text_bytes)
{
    const struct tier_file *file = of_const(tier);
    (void)snprintf(out_text, text_bytes,
        "file: %s, one file a block, plain synchronous calls, up to %llu MiB, %s, %s; "
        "%llu foreign files left alone",
        file->store.path, (unsigned long long)(file->health.capacity_bytes >> 20),
        codec_name(file->rules.codec), file->rules.seal != NULL ? "AES-256-GCM" : "not encrypted",
        (unsigned long long)file->store.foreign);
}

static void health(const struct tier *tier, struct tier_health *out_health)
{
    const struct tier_file *file = of_const(tier);
    *out_health = file->health;
    out_health->corrupt += file->store.spoiled;
    out_health->used_bytes = file->index.bytes;
    out_health->blocks = file->index.count;
}

/* Everything is over when store or load return; what is left is the disk's own cache. */
static void close_file(struct tier *tier, uint64_t wait_ns)
{
    struct tier_file *file = of(tier);
    file_store_close(&file->store, wait_ns > 0);
    file_index_close(&file->index);
    tier_queue_close(&file->queue);
    if (file->rules.seal != NULL) {
        seal_close(&file->seal);
    }
    free(file->scratch.memory);
    free(file->payload.memory);
    free(file);
}

static const struct tier_ops ops = {.name = "file",
    .store = store,
    .load = load,
    .drop = drop,
    .poll = poll,
    .fd = no_descriptor,
    .describe = describe,
    .health = health,
    .close = close_file};

int tier_file_open(
    const struct tier_file_options *options, struct tier **out_tier, char *why, size_t why_bytes)
{
    struct tier_file *file = calloc(1, sizeof *file);
    int status = STATUS_NO_MEMORY;
    (void)snprintf(why, why_bytes, "out of memory");
    if (file == NULL) {
        return status;
    }
    file->tier.ops = &ops;
    file->rules.codec = options->codec;
    file->health = (struct tier_health){.up = true, .capacity_bytes = options->capacity_bytes};
    if (tier_queue_open(QUEUE_EVENTS, &file->queue) != STATUS_OK ||
        file_index_open(&file->index) != STATUS_OK) {
        goto close;
    }
    if (options->key_file != NULL && options->key_file[0] != '\0') {
        status = seal_open(&file->seal, options->key_file, why, why_bytes);
        if (status != STATUS_OK) {
            goto close;
        }
        file->rules.seal = &file->seal;
    }
    status = file_store_open(options->directory, &file->store, why, why_bytes);
    if (status == STATUS_OK) {
        status = file_store_scan(&file->store, &file->index, why, why_bytes);
    }
    if (status != STATUS_OK) {
        goto close;
    }
    while (file->index.bytes > options->capacity_bytes) {
        lose(file, file->index.oldest);
    }
    describe(&file->tier, why, why_bytes);
    *out_tier = &file->tier;
    return STATUS_OK;
close:
    close_file(&file->tier, 0);
    return status;
}
