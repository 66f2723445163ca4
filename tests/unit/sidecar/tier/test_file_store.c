/* test_file_store: names, foreign files, leftovers, and directories that cannot be used. */
#include "sidecar/tier/file_store.h"

#include "shm/status.h"
#include "tests/unit/sidecar/tier/folder.h"

#include <errno.h>
#include <xxhash.h>

static struct record_header header_of(uint8_t byte)
{
    struct tier_block block = {.id.key.word = {byte}, .data = "x", .bytes = 1};
    struct record_rules rules = {.codec = CODEC_RAW};
    struct record_header header;
    const void *payload = NULL;
    double error = 0;
    memset(block.id.space, byte, sizeof block.id.space);
    assert_int_equal(record_encode(&rules, &block, NULL, &header, &payload, &error), STATUS_OK);
    return header;
}

static struct tier_id id_of(uint8_t byte)
{
    struct tier_id id = {.key.word = {byte}};
    memset(id.space, byte, sizeof id.space);
    return id;
}

static void put(struct file_store *store, uint8_t byte)
{
    struct record_header header = header_of(byte);
    struct tier_id id = id_of(byte);
    assert_int_equal(file_store_write(store, &id, &header, "x"), 0);
}

static void test_names_hold_namespace_and_key(void **state)
{
    (void)state;
    char name[FILE_STORE_NAME];
    struct tier_id id = {.key.word = {0x0123456789abcdef}};
    id.space[0] = 0xfe;
    file_store_name(&id, name);
    assert_int_equal(strlen(name), FILE_STORE_NAME - 1);
    assert_memory_equal(name, "fe0000", 6);
    assert_non_null(strstr(name, "-efcdab8967452301000000"));
    assert_string_equal(name + strlen(name) - 6, ".block");
}

static void test_scan_finds_blocks_and_leaves_the_rest_alone(void **state)
{
    (void)state;
    struct folder folder;
    struct file_store store;
    struct file_index index;
    char why[512] = "";
    char name[FILE_STORE_NAME];
    folder_open(&folder);
    assert_int_equal(file_store_open(folder.path, &store, why, sizeof why), STATUS_OK);
    for (uint8_t i = 1; i <= 3; i++) {
        put(&store, i);
    }
    folder_write(&folder, "README", "mine", 4, 0600);
    folder_write(&folder, "a.block", "mine", 4, 0600);
    folder_write(&folder, "unfinished", "half", 4, 0600);
    /* A block's bytes under another block's name; and a header that is no header. */
    struct tier_id id = id_of(4);
    struct record_header header = header_of(5);
    file_store_name(&id, name);
    folder_write(&folder, name, &header, sizeof header, 0600);
    id = id_of(6);
    file_store_name(&id, name);
    folder_write(&folder, name, "nonsense", 8, 0600);
    assert_int_equal(file_index_open(&index), STATUS_OK);
    assert_int_equal(file_store_scan(&store, &index, why, sizeof why), STATUS_OK);
    assert_int_equal(index.count, 3);
    assert_int_equal(store.foreign, 2);
    assert_int_equal(store.spoiled, 2);
    assert_int_equal(folder_count(&folder, ".block"), 4); /* three, and one that is not ours */
    assert_int_equal(folder_count(&folder, "README"), 1);
    assert_int_equal(folder_count(&folder, "unfinished"), 0);
    file_index_close(&index);
    file_store_close(&store, false);
    folder_close(&folder);
}

static void test_a_record_of_another_version_goes(void **state)
{
    (void)state;
    struct folder folder;
    struct file_store store;
    struct file_index index;
    char why[512] = "";
    char name[FILE_STORE_NAME];
    struct tier_id id = id_of(1);
    struct record_header header = header_of(1);
    folder_open(&folder);
    header.version++;
    header.check = XXH3_64bits(&header, offsetof(struct record_header, check));
    file_store_name(&id, name);
    folder_write(&folder, name, &header, sizeof header, 0600);
    assert_int_equal(file_store_open(folder.path, &store, why, sizeof why), STATUS_OK);
    assert_int_equal(file_index_open(&index), STATUS_OK);
    assert_int_equal(file_store_scan(&store, &index, why, sizeof why), STATUS_OK);
    assert_int_equal(index.count, 0);
    assert_int_equal(store.spoiled, 1);
    file_index_close(&index);
    file_store_close(&store, false);
    folder_close(&folder);
}

static void test_directories_that_cannot_be_used(void **state)
{
    (void)state;
    struct folder folder;
    struct file_store store;
    struct file_store second;
    char why[512] = "";
    char path[256];
    char large[2 * FILE_STORE_PATH];
    folder_open(&folder);
    folder_file(&folder, "none", path);
    assert_int_equal(file_store_open(path, &store, why, sizeof why), STATUS_IO);
    assert_non_null(strstr(why, "make the directory"));
    memset(large, 'd', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_int_equal(file_store_open(large, &store, why, sizeof why), STATUS_INVALID);
    assert_int_equal(file_store_open(folder.path, &store, why, sizeof why), STATUS_OK);
    assert_int_equal(file_store_open(folder.path, &second, why, sizeof why), STATUS_BUSY);
    assert_non_null(strstr(why, "another process"));
    file_store_close(&store, false);
    assert_int_equal(file_store_open(folder.path, &store, why, sizeof why), STATUS_OK);
    file_store_close(&store, true);
    folder_close(&folder);
}

static void test_errors_come_with_a_remedy(void **state)
{
    (void)state;
    static const struct {
        int error;
        const char *remedy;
    } rows[] = {{ENOSPC, "free space"}, {EDQUOT, "free space"}, {EROFS, "writable"},
        {EACCES, "writable"}, {EMFILE, "ulimit"}, {EIO, "kernel's log"}};
    struct file_store store = {.path = "/tmp/where"};
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        char text[TIER_NOTE];
        file_store_explain(&store, rows[i].error, text, sizeof text);
        assert_non_null(strstr(text, rows[i].remedy));
        assert_non_null(strstr(text, "/tmp/where"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_hold_namespace_and_key),
        cmocka_unit_test(test_scan_finds_blocks_and_leaves_the_rest_alone),
        cmocka_unit_test(test_a_record_of_another_version_goes),
        cmocka_unit_test(test_directories_that_cannot_be_used),
        cmocka_unit_test(test_errors_come_with_a_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
