/* nvme_watch: is the disk well, and the file still ours? See nvme_worker.h.
 *
 * The thread goes down when the device fails time and again, and asks it from time to time whether
 * it is back; it goes down for good when the file is not the one that was opened. While it is down
 * everything is answered with IO at once.
 */
#include "sidecar/tier/nvme_worker.h"

#include "shm/status.h"
#include "sidecar/moment.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)
#define PROBE_GAP_NS_MOST (60 * SECOND_NS)

static void go_down(struct nvme_worker *worker)
{
    worker->down = true;
    worker->probe_gap_ns = SECOND_NS;
    worker->probe_ns = moment_ns() + worker->probe_gap_ns;
    shared32_store_relaxed(&worker->channel->down, 1);
}

void nvme_watch_failed(struct nvme_worker *worker, const struct disk_op *op)
{
    nvme_channel_add(&worker->channel->errors, 1);
    worker->errors_in_row++;
    worker->look_ns = 0; /* was the file cut? look at once */
    const char *what = op->kind == DISK_READ ? "read" : op->kind == DISK_SYNC ? "sync" : "write";
    if (!worker->down && worker->errors_in_row >= NVME_WORKER_ERRORS) {
        go_down(worker);
        nvme_thread_note(worker,
            "down: %u transfers in a row failed, the last a %s: %s; asked again from time to time; "
            "remedy: look at the disk and its kernel messages",
            worker->errors_in_row, what, strerror(-op->result));
    } else {
        nvme_thread_note(worker, "a %s of %llu bytes at %llu failed: %s; remedy: look at the disk",
            what, (unsigned long long)op->bytes, (unsigned long long)op->offset,
            strerror(-op->result));
    }
}

static void probed(struct nvme_worker *worker, struct nvme_io *io)
{
    worker->probing = false;
    if (io->disk.result == 0 && nvme_format_check(worker->staging.page) == STATUS_OK) {
        worker->down = false;
        worker->errors_in_row = 0;
        shared32_store_relaxed(&worker->channel->down, 0);
        nvme_thread_note(worker, "up: the disk answers again");
        return;
    }
    worker->probe_gap_ns *= 2;
    if (worker->probe_gap_ns > PROBE_GAP_NS_MOST) {
        worker->probe_gap_ns = PROBE_GAP_NS_MOST;
    }
    worker->probe_ns = moment_ns() + worker->probe_gap_ns;
}

/* Once a second: is the file still ours? Now and then: is the disk back? */
void nvme_watch_step(struct nvme_worker *worker, uint64_t now_ns)
{
    char why[NVME_OP_TEXT - 16];
    if (now_ns >= worker->look_ns && !worker->gone) {
        worker->look_ns = now_ns + SECOND_NS;
        if (nvme_file_look(worker->options.file, why, sizeof why) != STATUS_OK) {
            worker->gone = true;
            go_down(worker);
            nvme_thread_note(worker, "down: %s", why);
        }
    }
    if (worker->down && !worker->gone && !worker->probing && worker->stop == NULL &&
        now_ns >= worker->probe_ns) {
        worker->probing = true;
        worker->probe_io.done = probed;
        nvme_thread_begin(
            worker, &worker->probe_io, DISK_READ, 0, worker->staging.page, NVME_FORMAT_PAGE);
    }
    if (worker->disk->note[0] != '\0' && worker->notes.first != NULL) {
        nvme_thread_note(worker, "%s", worker->disk->note);
        worker->disk->note[0] = '\0';
    }
}
