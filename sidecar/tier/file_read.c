/* file_read: see file_read.h. */
#include "sidecar/tier/file_read.h"

#include "shm/status.h"

/* Read [from, to) of the file. Returns 0, STATUS_MALFORMED if it ends before, or STATUS_IO. */
static int take(const struct file_read *read, uint64_t from, uint64_t to, void *out_data,
    struct file_read_done *done)
{
    int error = file_store_read(read->descriptor, from, out_data, to - from);
    if (error > 0) {
        done->error = error;
        return STATUS_IO;
    }
    if (error < 0) {
        return STATUS_MALFORMED;
    }
    done->read_bytes += to - from;
    return STATUS_OK;
}

/* How much of the payload is wanted first: whole parts; 0: all of it at once. */
static uint64_t first_bytes(const struct record_header *header, uint64_t wanted)
{
    uint64_t step = record_part_bytes(header->stored_bytes);
    if (wanted == 0 || wanted >= header->stored_bytes) {
        return 0;
    }
    uint64_t first = (wanted + step - 1) / step * step;
    return first < header->stored_bytes ? first : 0;
}

/* A record that is the block itself goes where the block is wanted. */
static int take_direct(
    const struct file_read *read, const struct record_header *header, struct file_read_done *done)
{
    uint8_t *data = read->wish->out_data;
    uint64_t first = first_bytes(header, read->wish->part_bytes);
    if (first > 0) {
        int status = take(read, sizeof *header, sizeof *header + first, data, done);
        if (status == STATUS_OK) {
            status = record_verify_first(header, data, first);
        }
        if (status != STATUS_OK) {
            return status;
        }
        done->part_bytes = first;
    }
    return take(
        read, sizeof *header + first, sizeof *header + header->stored_bytes, data + first, done);
}

int file_read(const struct file_read *read, struct file_read_done *out_done)
{
    const struct tier_wish *wish = read->wish;
    uint8_t bytes[RECORD_HEADER_BYTES];
    struct record_header header;
    *out_done = (struct file_read_done){.error = 0};
    int status = take(read, 0, sizeof bytes, bytes, out_done);
    if (status == STATUS_OK) {
        status = record_check(bytes, &wish->id, &header);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (header.raw_bytes != read->raw_bytes) { /* somebody put another file in its place */
        return STATUS_MALFORMED;
    }
    bool direct = header.codec == CODEC_RAW && (header.flags & RECORD_SEALED) == 0;
    void *payload = direct ? wish->out_data : read->payload;
    status =
        direct ? take_direct(read, &header, out_done)
               : take(read, sizeof header, sizeof header + header.stored_bytes, payload, out_done);
    if (status != STATUS_OK) {
        return status;
    }
    return record_decode(read->rules, &header, payload, read->scratch, wish->out_data, wish->room);
}
