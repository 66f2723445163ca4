/* slab: memory of one process, mapped by others, and gone when the last lets go. */
#include "tests/check.h"
#include "tests/gpu-double/bed.h"

#include "cuda/copy.h"
#include "shm/hello.h"
#include "shm/status.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLABS 3u
#define POOL_BYTES (SLABS * BED_SLAB_BYTES)
#define READERS 8u
#define MIB (UINT64_C(1) << 20)

/* What goes from the maker of a pool to who maps it. */
struct offer {
    uint32_t kind;
    struct driver_uuid uuid;
    struct driver_ipc_handle ipc[SLABS];
};

struct scene {
    enum slab_kind kind;
    bool writable; /* the mapping */
    int socket[READERS][2]; /* the maker's end, the reader's */
    uint32_t readers;
    uint32_t number; /* of the reader that is started */
};

static void offer(struct child_page *page, const struct slab_pool *pool, int socket)
{
    struct offer offer = {.kind = (uint32_t)pool->kind, .uuid = pool->gpu->uuid};
    int fds[SLABS];
    for (uint32_t i = 0; i < SLABS; i++) {
        fds[i] = pool->slab[i].fd;
        offer.ipc[i] = pool->slab[i].ipc;
    }
    int status = hello_send(socket, &offer, sizeof offer, fds, pool->kind == SLAB_VMM ? SLABS : 0);
    child_need(page, status == STATUS_OK, "send: %d", status);
}

/* Take an offer and map it. */
static int take(struct bed *bed, int socket, bool writable, struct slab_pool *out_pool)
{
    struct offer offer;
    struct slab_pool shared = {.count = SLABS, .slab_bytes = BED_SLAB_BYTES};
    int fds[SLABS] = {-1, -1, -1};
    uint32_t count = 0;
    int status = hello_receive(socket, &offer, sizeof offer, fds, SLABS, &count);
    child_need(bed->page, status == STATUS_OK, "receive: %d", status);
    shared.kind = (enum slab_kind)offer.kind;
    for (uint32_t i = 0; i < SLABS; i++) {
        shared.slab[i].fd = fds[i];
        shared.slab[i].ipc = offer.ipc[i];
    }
    status = slab_import(&bed->gpu, &shared, writable, out_pool, bed->why, sizeof bed->why);
    for (uint32_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
    return status;
}

/* Points: 1 made and offered; 2 (let) look for what the readers wrote; 3 closed. */
static int make(void *context, struct child_page *page)
{
    struct scene *scene = context;
    struct bed bed;
    struct slab_pool pool;
    bed_open(&bed, page, "", "auto");
    int status =
        slab_make(&bed.gpu, scene->kind, SLABS, BED_SLAB_BYTES, &pool, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_OK, "make: %s", bed.why);
    for (uint32_t i = 0; i < SLABS; i++) {
        bed_fill(&bed, slab_address(&pool, i * BED_SLAB_BYTES), BED_SLAB_BYTES, (uint8_t)(i + 1));
    }
    for (uint32_t i = 0; i < scene->readers; i++) {
        offer(page, &pool, scene->socket[i][0]);
    }
    child_at(page, 1);
    child_await(page, 2);
    for (uint32_t i = 0; i < scene->readers && scene->writable; i++) {
        child_need(page, bed_holds(&bed, slab_address(&pool, i * 4096), 4096, (uint8_t)(100 + i)),
            "what reader %u wrote is not here", i);
    }
    slab_close(&pool);
    slab_close(&pool);
    bed_close(&bed);
    child_at(page, 3);
    return 0;
}

/* Points: 1 read all, and wrote; 2 (let) look again; 3 looked; 4 (let) end. */
static int use(void *context, struct child_page *page)
{
    struct scene *scene = context;
    uint32_t me = scene->number;
    struct bed bed;
    struct slab_pool pool;
    bed_open(&bed, page, "", "auto");
    int status = take(&bed, scene->socket[me][1], scene->writable, &pool);
    child_need(page, status == STATUS_OK, "import: %s", bed.why);
    for (uint32_t i = 0; i < SLABS; i++) { /* the last byte of each, and what lies before */
        uint64_t at = i * BED_SLAB_BYTES + BED_SLAB_BYTES / 2;
        child_need(page,
            bed_holds(&bed, slab_address(&pool, at), BED_SLAB_BYTES / 2, (uint8_t)(i + 1)),
            "slab %u", i);
    }
    if (scene->writable) {
        bed_fill(&bed, slab_address(&pool, me * 4096), 4096, (uint8_t)(100 + me));
    }
    child_at(page, 1);
    child_await(page, 2);
    child_need(page, bed_holds(&bed, slab_address(&pool, POOL_BYTES - 4096), 4096, SLABS), "2");
    child_at(page, 3);
    child_await(page, 4);
    slab_close(&pool);
    bed_close(&bed);
    return 0;
}

static void open_scene(
    struct scene *out_scene, enum slab_kind kind, bool writable, uint32_t readers)
{
    *out_scene = (struct scene){.kind = kind, .writable = writable, .readers = readers};
    for (uint32_t i = 0; i < readers; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, out_scene->socket[i]), 0);
    }
}

static void close_scene(struct scene *scene)
{
    for (uint32_t i = 0; i < scene->readers; i++) {
        (void)close(scene->socket[i][0]);
        (void)close(scene->socket[i][1]);
    }
}

static void share(enum slab_kind kind, bool writable, uint32_t readers)
{
    struct scene scene;
    struct child maker;
    struct child reader[READERS];
    open_scene(&scene, kind, writable, readers);
    assert_true(child_start(&maker, make, &scene));
    assert_true(child_reaches(&maker, 1));
    for (uint32_t i = 0; i < readers; i++) {
        scene.number = i;
        assert_true(child_start(&reader[i], use, &scene));
    }
    for (uint32_t i = 0; i < readers; i++) {
        assert_true(child_reaches(&reader[i], 1));
        child_let(&reader[i], 2);
        assert_true(child_reaches(&reader[i], 3));
    }
    for (uint32_t i = 0; i < readers && kind == SLAB_LEGACY; i++) { /* closed before it is freed */
        child_let(&reader[i], 4);
        assert_int_equal(child_end(&reader[i]), 0);
    }
    child_let(&maker, 2);
    assert_true(child_reaches(&maker, 3));
    assert_int_equal(child_end(&maker), 0);
    for (uint32_t i = 0; i < readers && kind == SLAB_VMM; i++) {
        child_let(&reader[i], 4);
        assert_int_equal(child_end(&reader[i]), 0);
    }
    close_scene(&scene);
}

static void test_two_processes_read_and_write_one_pool(void **state)
{
    (void)state;
    share(SLAB_VMM, true, 1);
}

static void test_eight_processes_read_one_pool(void **state)
{
    (void)state;
    share(SLAB_VMM, false, READERS);
}

static void test_cuipc_handles_do_as_well(void **state)
{
    (void)state;
    share(SLAB_LEGACY, true, 2);
}

/* How much a fresh process may have; 8 MiB are on the device. */
static int make_again(void *context, struct child_page *page)
{
    int wanted = *(const int *)context;
    struct bed bed;
    struct slab_pool pool;
    bed_open(&bed, page, "memory=8M", "auto");
    int status =
        slab_make(&bed.gpu, SLAB_VMM, SLABS, BED_SLAB_BYTES, &pool, bed.why, sizeof bed.why);
    child_need(page, status == wanted, "%d: %s", status, bed.why);
    if (status == STATUS_NO_MEMORY) {
        child_need(page, strstr(bed.why, "1 of 3 slabs of 2 MiB") != NULL, "%s", bed.why);
        child_need(page, strstr(bed.why, "2 MiB are free now") != NULL, "%s", bed.why);
    } else {
        slab_close(&pool);
    }
    bed_close(&bed);
    return 0;
}

/* Its maker is killed: who mapped it reads on, and keeps the memory until it ends. */
static void test_a_pool_outlives_its_maker_and_ends_with_its_last_reader(void **state)
{
    (void)state;
    bed_double();
    struct scene scene;
    struct child maker;
    struct child reader;
    int wanted = STATUS_NO_MEMORY;
    open_scene(&scene, SLAB_VMM, false, 1);
    assert_true(child_start(&maker, make, &scene));
    assert_true(child_reaches(&maker, 1));
    assert_true(child_start(&reader, use, &scene));
    assert_true(child_reaches(&reader, 1));
    child_kill(&maker);
    assert_int_equal(child_run(make_again, &wanted), 0);
    child_let(&reader, 2);
    assert_true(child_reaches(&reader, 3));
    child_kill(&reader);
    wanted = STATUS_OK;
    assert_int_equal(child_run(make_again, &wanted), 0);
    close_scene(&scene);
}

/* A stream that writes through a read-only mapping has lost its device; nobody else has. */
static int write_readonly(void *context, struct child_page *page)
{
    struct scene *scene = context;
    struct bed bed;
    struct slab_pool pool;
    struct copy_stream stream;
    bed_open(&bed, page, "", "auto");
    child_need(page, take(&bed, scene->socket[0][1], false, &pool) == STATUS_OK, "%s", bed.why);
    child_need(page, copy_open(&bed.gpu, &stream) == STATUS_OK, "no stream");
    (void)bed.driver.cuMemsetD8Async(slab_address(&pool, 0), 0xee, 4096, stream.stream);
    int status = driver_status(bed.driver.cuStreamSynchronize(stream.stream));
    child_need(page, status == STATUS_DEVICE_LOST, "the write: %d", status);
    child_need(page, copy_done(&stream) == STATUS_DEVICE_LOST, "it is not for good");
    return 0;
}

static void test_a_readonly_mapping_cannot_be_written(void **state)
{
    (void)state;
    struct scene scene;
    struct child maker;
    open_scene(&scene, SLAB_VMM, false, 1);
    assert_true(child_start(&maker, make, &scene));
    assert_true(child_reaches(&maker, 1));
    assert_int_equal(child_run(write_readonly, &scene), 0);
    child_let(&maker, 2);
    assert_int_equal(child_end(&maker), 0);
    close_scene(&scene);
}

static void test_slabs_are_few_and_whole(void **state)
{
    (void)state;
    static const struct {
        uint64_t pool_mib;
        uint64_t granularity_mib;
        uint64_t slab_mib;
    } rows[] = {
        {1, 2, 64}, {64, 2, 64}, {8192, 2, 64}, {8193, 2, 128}, {81920, 2, 1024}, {100, 512, 512}};
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        assert_int_equal(slab_choose_bytes(rows[i].pool_mib * MIB, rows[i].granularity_mib * MIB),
            rows[i].slab_mib * MIB);
    }
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slabs_are_few_and_whole),
        cmocka_unit_test(test_two_processes_read_and_write_one_pool),
        cmocka_unit_test(test_eight_processes_read_one_pool),
        cmocka_unit_test(test_cuipc_handles_do_as_well),
        cmocka_unit_test(test_a_pool_outlives_its_maker_and_ends_with_its_last_reader),
        cmocka_unit_test(test_a_readonly_mapping_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
