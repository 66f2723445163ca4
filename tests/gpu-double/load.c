/* load: see load.h. */
#include "tests/gpu-double/load.h"

#include "shm/status.h"
#include "tests/check.h"

#define HALF (WORKER_BLOCK_BYTES / 2)
#define LANE_BYTES (LOAD_BATCH * WORKER_BLOCK_BYTES)
#define COUNTERS (LOAD_LANES * LANE_BYTES) /* behind the tensors */
#define WINDOW 160u /* blocks back from the latest, of those that consumers ask for */
#define DELAY_US 30u /* of each operation, on the double */
#define SPIN_NS 20000u
#define DRAIN_NS 1000000
#define LONG_SPIN_NS 50000000u
#define POINT_READY 1u
#define POINT_OVER 2u
#define WORD_BLOCKS 0 /* written, or read; those of a producer are put into a stream */
#define WORD_HOST_ERRORS 1
#define WORD_DEVICE_ERRORS 2
#define WORD_IN_PLACE 3

static_assert(COUNTERS + LOAD_LANES * sizeof(uint64_t) <= BED_SLAB_BYTES, "the desk's tensors");

static void need_ok(const struct load_worker *worker, const char *what, int result)
{
    child_need(worker->desk.bed.page, result == DRIVER_SUCCESS, "%s: %d", what, result);
}

static void open_worker(
    struct load_worker *worker, struct child_page *page, const struct load *load, uint64_t seed)
{
    struct bed *bed = &worker->desk.bed;
    *worker = (struct load_worker){.load = load, .random = seed};
    if (load->way->in_place) {
        desk_open_in_place(&worker->desk, page, load->daemon);
    } else {
        desk_open(&worker->desk, page, load->daemon, CISTERN_LATE_WRITES);
    }
    bed->forgiven = load->way->is_wrong;
    kernels_open(&worker->kernels, page, bed->driver.library);
    uint64_t base = slab_address(&worker->desk.tensors, 0);
    for (uint32_t i = 0; i < LOAD_LANES; i++) {
        struct load_lane *lane = &worker->lane[i];
        child_need(page, copy_open(&bed->gpu, &lane->stream) == STATUS_OK, "no stream");
        lane->tensors = base + i * LANE_BYTES;
        lane->errors = base + COUNTERS + i * sizeof(uint64_t);
        need_ok(worker, "clear",
            bed->driver.cuMemsetD8Async(lane->errors, 0, sizeof(uint64_t), lane->stream.stream));
    }
    child_at(page, POINT_READY);
    child_await(page, POINT_READY);
    bed_delay(bed, DELAY_US);
}

/* All that is under way ends, and the errors of the lanes are added up. */
static void end_worker(struct load_worker *worker)
{
    struct bed *bed = &worker->desk.bed;
    uint64_t errors = 0;
    int status = cistern_device_drain(worker->desk.device, WORKER_WAIT_NS);
    child_need(bed->page, status == CISTERN_OK, "drain: %s", cistern_why());
    for (uint32_t i = 0; i < LOAD_LANES; i++) {
        const struct load_lane *lane = &worker->lane[i];
        uint64_t counted = 0;
        need_ok(worker, "counter",
            bed->driver.cuMemcpyDtoHAsync(
                &counted, lane->errors, sizeof counted, lane->stream.stream));
        need_ok(worker, "stream", bed->driver.cuStreamSynchronize(lane->stream.stream));
        errors += counted;
    }
    shared64_store_relaxed(&bed->page->word[WORD_HOST_ERRORS], worker->host_errors);
    shared64_store_relaxed(&bed->page->word[WORD_DEVICE_ERRORS], errors);
    shared64_store_relaxed(&bed->page->word[WORD_IN_PLACE], worker->in_place);
    child_at(bed->page, POINT_OVER);
    for (uint32_t i = 0; i < LOAD_LANES; i++) {
        copy_close(&worker->lane[i].stream);
    }
    kernels_close(&worker->kernels);
    desk_close(&worker->desk);
}

/* A block appears in two halves, each late. */
static void make_block(
    const struct load_worker *worker, const struct load_lane *lane, uint64_t at, uint64_t number)
{
    struct driver_stream *stream = lane->stream.stream;
    kernels_spin(&worker->kernels, stream, SPIN_NS);
    kernels_fill(&worker->kernels, stream, at, HALF, number, 0);
    kernels_spin(&worker->kernels, stream, SPIN_NS);
    kernels_fill(&worker->kernels, stream, at + HALF, HALF, number, HALF);
}

/* Of a status that a call may have when nothing is done to the sidecar, or when it is. */
static bool may_be(const struct load_worker *worker, int status)
{
    return status == CISTERN_OK || (worker->load->disturb != NULL && status == CISTERN_NO_SERVER);
}

static int try_reserve(struct load_worker *worker, struct cistern_slot *slots, size_t *count)
{
    struct desk *desk = &worker->desk;
    return worker->load->way->in_place
               ? cistern_device_reserve(desk->device, LOAD_BATCH, WORKER_WAIT_NS, slots, count)
               : cistern_reserve(desk->handle, LOAD_BATCH, WORKER_WAIT_NS, slots, count);
}

/* What a worker may be lent at once is bounded: some comes back with its streams, and by the call
 * that does what a thread of the driver could not, for want of a seat. And in a small pool others
 * may have all of it pinned, or under copies. 0: there is no sidecar. */
static size_t reserve(struct load_worker *worker, struct cistern_slot *slots)
{
    uint64_t deadline = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    size_t count = 0;
    int status = CISTERN_LIMIT;
    while ((status == CISTERN_LIMIT || status == CISTERN_BUSY) && child_now_ns() < deadline) {
        status = try_reserve(worker, slots, &count);
        if (status == CISTERN_LIMIT || status == CISTERN_BUSY) {
            (void)cistern_device_drain(worker->desk.device, DRAIN_NS);
        }
    }
    child_need(worker->desk.bed.page, may_be(worker, status), "reserve: %s: %s",
        cistern_status_name(status), cistern_why());
    return status == CISTERN_OK ? count : 0;
}

static uint64_t first_block(uint32_t producer)
{
    return (uint64_t)(producer + 1) << 32;
}

/* Which of them this process is: it was started before the parent knew its page. */
static uint32_t find_place(const struct child *children, uint32_t count)
{
    uint32_t place = 0;
    while (place < count && children[place].page != NULL) {
        place++;
    }
    return place;
}

static int produce(void *context, struct child_page *page)
{
    const struct load *load = context;
    struct load_worker worker;
    uint32_t place = find_place(load->producer, load->producers);
    uint64_t number = first_block(place);
    open_worker(&worker, page, load, load->seed + place);
    uint64_t deadline = child_now_ns() + load->most_ns;
    for (uint32_t round = 0; round < load->rounds && child_now_ns() < deadline; round++) {
        struct load_lane *lane = &worker.lane[round % LOAD_LANES];
        struct cistern_slot slots[LOAD_BATCH];
        size_t count = reserve(&worker, slots);
        if (count == 0) {
            child_nap();
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            uint64_t at =
                load->way->in_place ? (uint64_t)(uintptr_t)slots[i].data : load_tensor(lane, i);
            make_block(&worker, lane, at, number + i);
        }
        int status = load->way->write(&worker, lane, slots, number, count);
        child_need(page, status == CISTERN_OK, "write: %s: %s", cistern_status_name(status),
            cistern_why());
        number += count;
        shared64_store_release(&page->word[WORD_BLOCKS], number - first_block(place));
    }
    end_worker(&worker);
    return 0;
}

/* A batch near the end of what a producer has put into its streams; false: there is none yet. */
static bool choose(struct load_worker *worker, uint64_t *out_number)
{
    uint32_t producer = (uint32_t)(check_random(&worker->random) % worker->load->producers);
    uint64_t made =
        shared64_load_acquire(&worker->load->producer[producer].page->word[WORD_BLOCKS]);
    uint64_t back = LOAD_BATCH + check_random(&worker->random) % WINDOW;
    *out_number = first_block(producer) + (made > back ? made - back : 0);
    return made >= LOAD_BATCH;
}

/* Pin what is there of a batch. 0: nothing. */
static size_t acquire(struct load_worker *worker, uint64_t number, struct cistern_view *views)
{
    struct cistern_key keys[LOAD_BATCH];
    size_t count = 0;
    for (uint32_t i = 0; i < LOAD_BATCH; i++) {
        keys[i] = worker_key(number + i);
    }
    int status = cistern_acquire(worker->desk.handle, keys, LOAD_BATCH, views, &count);
    if (status == CISTERN_PINS) {
        status = cistern_device_drain(worker->desk.device, WORKER_WAIT_NS);
        count = 0;
    }
    child_need(worker->desk.bed.page, status == CISTERN_MISS || may_be(worker, status),
        "acquire: %s: %s", cistern_status_name(status), cistern_why());
    return status == CISTERN_OK ? count : 0;
}

void load_check(const struct load_worker *worker, const struct load_lane *lane, uint64_t address,
    uint64_t number)
{
    kernels_check(&worker->kernels, lane->stream.stream, address, WORKER_BLOCK_BYTES, number, 0,
        lane->errors);
}

static void read_batch(struct load_worker *worker, struct load_lane *lane, uint64_t number,
    struct cistern_view *views, size_t count)
{
    struct driver_stream *stream = lane->stream.stream;
    uint64_t random = check_random(&worker->random);
    if (views[0].tier == CISTERN_TIER_HOST && random % 2 == 0) {
        worker->host_errors += !worker_is_right(views[0].data, views[0].bytes, number);
    }
    /* Now and then so late that many slots are written again before. */
    kernels_spin(&worker->kernels, stream, random % 128 == 1 ? LONG_SPIN_NS : SPIN_NS);
    int status = worker->load->way->read(worker, lane, views, number, count);
    child_need(worker->desk.bed.page, status == CISTERN_OK, "read: %s: %s",
        cistern_status_name(status), cistern_why());
}

static int consume(void *context, struct child_page *page)
{
    const struct load *load = context;
    struct load_worker worker;
    uint32_t place = find_place(load->consumer, load->consumers);
    uint64_t read = 0;
    open_worker(&worker, page, load, load->seed + LOAD_WORKERS + place);
    for (uint32_t round = 0; shared32_load_acquire(&page->go) < POINT_OVER; round++) {
        struct cistern_view views[LOAD_BATCH];
        uint64_t number;
        size_t count = choose(&worker, &number) ? acquire(&worker, number, views) : 0;
        if (count > 0) {
            read_batch(&worker, &worker.lane[round % LOAD_LANES], number, views, count);
            read += count;
        }
    }
    shared64_store_relaxed(&page->word[WORD_BLOCKS], read);
    end_worker(&worker);
    return 0;
}

static bool start_all(struct child *children, uint32_t count, child_work *work, struct load *load)
{
    bool good = true;
    for (uint32_t i = 0; i < count && good; i++) {
        good = child_start(&children[i], work, load) && child_reaches(&children[i], POINT_READY);
    }
    return good;
}

static void let_all(struct child *children, uint32_t count, uint32_t point)
{
    for (uint32_t i = 0; i < count; i++) {
        child_let(&children[i], point);
    }
}

/* Wait until all have ended their part, and add their words up. */
static bool await_all(
    struct child *children, uint32_t count, uint64_t *out_blocks, struct load_result *result)
{
    bool good = true;
    for (uint32_t i = 0; i < count && good; i++) {
        struct child_page *page = children[i].page;
        good = child_reaches(&children[i], POINT_OVER);
        *out_blocks += shared64_load_relaxed(&page->word[WORD_BLOCKS]);
        result->host_errors += shared64_load_relaxed(&page->word[WORD_HOST_ERRORS]);
        result->device_errors += shared64_load_relaxed(&page->word[WORD_DEVICE_ERRORS]);
        result->in_place += shared64_load_relaxed(&page->word[WORD_IN_PLACE]);
    }
    return good;
}

static bool end_all(struct child *children, uint32_t count)
{
    bool good = true;
    for (uint32_t i = 0; i < count; i++) {
        good = child_end(&children[i]) == 0 && good;
    }
    return good;
}

uint64_t load_made(const struct load *load)
{
    uint64_t blocks = 0;
    for (uint32_t i = 0; i < load->producers; i++) {
        blocks += shared64_load_relaxed(&load->producer[i].page->word[WORD_BLOCKS]);
    }
    return blocks;
}

bool load_run(struct load *load, struct load_result *out_result)
{
    struct load_result result = {0};
    bool good = start_all(load->producer, load->producers, produce, load) &&
                start_all(load->consumer, load->consumers, consume, load);
    if (good) {
        let_all(load->consumer, load->consumers, POINT_READY);
        let_all(load->producer, load->producers, POINT_READY);
        good = load->disturb == NULL || load->disturb(load);
        good = await_all(load->producer, load->producers, &result.written, &result) && good;
        let_all(load->consumer, load->consumers, POINT_OVER);
        good = await_all(load->consumer, load->consumers, &result.read, &result) && good;
    }
    /* Consumers read what producers say: these go last. */
    good = end_all(load->consumer, load->consumers) && good;
    good = end_all(load->producer, load->producers) && good;
    *out_result = result;
    return good;
}
