/* bed: see bed.h. */
#include "tests/unit/libclient/bed.h"

#include <dirent.h>
#include <poll.h>
#include <unistd.h>

void bed_start(struct bed *bed, const struct double_faults *faults)
{
    memset((void *)bed, 0, sizeof *bed);
    (void)snprintf(bed->folder, sizeof bed->folder, "/tmp/cistern-test-XXXXXX");
    assert_non_null(mkdtemp(bed->folder));
    (void)snprintf(bed->path, sizeof bed->path, "%s/socket", bed->folder);
    double_start(&bed->server, bed->path, 1, faults);
    bed->space = (struct cistern_namespace){
        .size = sizeof bed->space,
        .block_tokens = BED_TOKENS,
        .block_bytes = DOUBLE_BLOCK,
        .name = "test",
        .model = "none",
        .dtype = "bfloat16",
    };
    bed->options = (struct cistern_options){
        .size = sizeof bed->options,
        .space = &bed->space,
        .socket_path = bed->path,
    };
}

void bed_open(struct bed *bed)
{
    int status = cistern_open(&bed->options, &bed->handle);
    if (status != CISTERN_OK) {
        fail_msg("open: %s: %s", cistern_status_name(status), cistern_why());
    }
    uint32_t tokens[BED_KEYS * BED_TOKENS];
    for (uint32_t i = 0; i < BED_KEYS * BED_TOKENS; i++) {
        tokens[i] = i * 7 + 3;
    }
    size_t count = 0;
    assert_int_equal(
        cistern_keys(bed->handle, NULL, tokens, BED_KEYS * BED_TOKENS, bed->keys, &count),
        CISTERN_OK);
    assert_int_equal(count, BED_KEYS);
}

void bed_end(struct bed *bed)
{
    cistern_close(&bed->handle);
    double_stop(&bed->server);
    (void)rmdir(bed->folder);
}

void bed_restart(struct bed *bed, uint64_t epoch)
{
    double_start(&bed->server, bed->path, epoch, NULL);
    struct cistern_match match = {.size = sizeof match};
    int status = CISTERN_NO_SERVER;
    /* The library tries again 10 ms to 1 s after it failed: this is bounded by ten seconds. */
    for (int i = 0; i < 10000 && status == CISTERN_NO_SERVER; i++) {
        status = cistern_match(bed->handle, bed->keys, 1, &match);
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(status, CISTERN_OK);
}

void bed_flush(struct bed *bed)
{
    assert_int_equal(cistern_flush(bed->handle, 10 * BED_SECOND), CISTERN_OK);
}

int bed_setup(void **state)
{
    struct bed *bed = malloc(sizeof *bed);
    assert_non_null(bed);
    bed_start(bed, NULL);
    bed_open(bed);
    *state = bed;
    return 0;
}

int bed_teardown(void **state)
{
    bed_end(*state);
    free(*state);
    return 0;
}

uint32_t bed_count_fds(void)
{
    uint32_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

uint32_t bed_count_maps(void)
{
    uint32_t count = 0;
    char line[512];
    FILE *file = fopen("/proc/self/maps", "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        count += strstr(line, "memfd:") != NULL;
    }
    (void)fclose(file);
    return count;
}
