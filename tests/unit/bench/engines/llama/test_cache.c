/* test_cache: without a sidecar there are no blocks, one warning, and no failure. */
#include "tests/check.h"

#include "bench/engines/llama/cache.h"

#include <string.h>
#include <unistd.h>

static const struct cistern_namespace space = {
    .size = sizeof space, .block_tokens = 4, .block_bytes = 4096, .name = "test", .model = "test"};

/* What `ask` writes to stderr: the number of lines, after the text itself in `out_text`. */
static int lines_said(void (*ask)(void), char *out_text, size_t room)
{
    char path[] = "/tmp/cistern-cache-XXXXXX";
    int fd = mkstemp(path);
    int kept = dup(STDERR_FILENO);
    assert_true(fd >= 0 && kept >= 0);
    (void)fflush(stderr);
    (void)dup2(fd, STDERR_FILENO);
    ask();
    (void)fflush(stderr);
    (void)dup2(kept, STDERR_FILENO);
    (void)close(kept);
    ssize_t bytes = pread(fd, out_text, room - 1, 0);
    (void)close(fd);
    (void)unlink(path);
    assert_true(bytes >= 0);
    out_text[bytes] = '\0';
    int lines = 0;
    for (const char *at = out_text; *at != '\0'; at++) {
        lines += *at == '\n' ? 1 : 0;
    }
    return lines;
}

static void ask_three_times(void)
{
    static const uint32_t tokens[8] = {1, 2, 3};
    struct cistern_key keys[2];
    struct cistern_view views[2];
    struct cistern_slot slot;
    struct cache cache;
    cache_open(&space, "/nonexistent/cistern.sock", 2, &cache);
    for (int i = 0; i < 3; i++) {
        cache.next_try_ns = 0; /* as if time had passed */
        assert_int_equal(cache_keys(&cache, tokens, 8, keys), 0);
        assert_int_equal(cache_find(&cache, keys, 2, 1000, views).pinned, 0);
        assert_false(cache_lend(&cache, &slot));
    }
    cache_close(&cache);
}

static void an_absent_sidecar_is_said_once(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(lines_said(ask_three_times, text, sizeof text), 1);
    assert_non_null(strstr(text, "goes on without the cache: CISTERN_NO_SERVER"));
}

static void ask_with_no_cache(void)
{
    static const uint32_t tokens[8] = {0};
    struct cistern_key keys[2];
    struct cache cache;
    cache_open(NULL, NULL, 2, &cache);
    assert_int_equal(cache_keys(&cache, tokens, 8, keys), 0);
    cache_close(&cache);
}

static void who_wants_no_cache_hears_nothing(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(lines_said(ask_with_no_cache, text, sizeof text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_absent_sidecar_is_said_once),
        cmocka_unit_test(who_wants_no_cache_hears_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
