/* nvme_op: one piece of work that travels between the front of tier_nvme and an I/O thread.
 *
 * Ops are made once, by the front, and go back and forth through an nvme_channel; whoever holds one
 * is the only one to touch it. Nothing is allocated on the way, and no queue can overflow.
 */
#ifndef CISTERN_SIDECAR_TIER_NVME_OP_H
#define CISTERN_SIDECAR_TIER_NVME_OP_H

#include "sidecar/tier/catalog.h"
#include "sidecar/tier/disk.h"
#include "sidecar/tier/nvme_format.h"
#include "sidecar/tier/tier.h"

#define NVME_OP_TEXT 320u

enum nvme_op_kind {
    NVME_OP_STORE, /* write a block; comes back when the device has it */
    NVME_OP_MOVE, /* read a block and write it once more, in the region that is written now */
    NVME_OP_LOAD, /* read a block */
    NVME_OP_REGION, /* here is a free region to write; comes back when it is sealed */
    NVME_OP_HEADERS, /* read the page of each region; comes back once, before all FOUND */
    NVME_OP_FOUND, /* an empty page; comes back with up to 15 records of an earlier life */
    NVME_OP_NOTE, /* an empty text; comes back when a person should know something */
    NVME_OP_STOP /* finish what was accepted; nothing else follows; comes back last */
};

struct nvme_worker;
struct nvme_io;

/* A transfer, and who is told when it is over. */
struct nvme_io {
    struct disk_op disk; /* first */
    void (*done)(struct nvme_worker *worker, struct nvme_io *io);
    void *owner;
};

struct nvme_op {
    enum nvme_op_kind kind;
    int status; /* answer: enum status; MALFORMED and DENIED as record.h says */

    /* the front's own */
    uint64_t cookie;
    uint64_t begun_ns;
    uint32_t entry; /* in the catalog */
    uint16_t use; /* of that entry */
    uint16_t cursor; /* FOUND: records handled so far */
    uint32_t region; /* LOAD, MOVE: the one that it reads */
    uint64_t promised_bytes; /* STORE: taken from the budget when it was sent */

    /* question and answer */
    struct tier_block block; /* STORE */
    struct tier_wish wish; /* LOAD; MOVE: its id */
    struct record_header header; /* LOAD, MOVE: what lies there; answer of STORE, MOVE: what does */
    struct catalog_place place; /* the same of where; REGION: its number */
    uint64_t generation; /* REGION; answer of FOUND: of its region */
    uint64_t deadline_ns; /* STOP */
    uint64_t device_bytes; /* answer of STORE, MOVE: written for it, with its share of all else */
    double error; /* answer of STORE: of a lossy codec */
    bool late; /* answer of LOAD: not begun by its deadline */
    struct nvme_format_page *page; /* FOUND */
    char text[NVME_OP_TEXT]; /* NOTE */

    /* the I/O thread's */
    struct nvme_op *next;
    struct nvme_io io[2];
    uint32_t waiting; /* transfers under way */
    uint32_t pages; /* of the payload */
    const void *payload; /* STORE, MOVE: encoded, ready to be written; NULL: not yet */
    void *buffer; /* of staging memory */
    struct nvme_format_page *index; /* LOAD in parts: memory for the INDEX page */
    uint64_t first_bytes; /* LOAD in parts: the first stretch */
};

#endif
