/* test_llama_faults: whatever happens to the sidecar or to another worker, a worker answers, and
 * answers what it would have answered alone. */
#include "tests/engines/scene.h"

#include "tests/e2e/child.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TOKENS 900u
#define KILLS 6

/* Where a worker's errors go: a file that the test reads. */
static int open_errors(const struct scene *scene)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/errors", scene->folder);
    FILE *file = fopen(path, "w+e");
    assert_non_null(file);
    int fd = dup(fileno(file));
    (void)fclose(file);
    assert_true(fd >= 0);
    return fd;
}

static int lines_in(int fd, char *out_text, size_t room)
{
    int lines = 0;
    ssize_t bytes = pread(fd, out_text, room - 1, 0);
    assert_true(bytes >= 0);
    out_text[bytes] = '\0';
    for (const char *at = out_text; *at != '\0'; at++) {
        lines += *at == '\n' ? 1 : 0;
    }
    return lines;
}

/* Ask until blocks are reused again: it tries every two seconds. */
static void ask_until_reused(
    struct engine_worker *worker, uint64_t seed, const struct engine_answer *expected)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    struct engine_answer answer = {0};
    while (answer.reused_tokens == 0) {
        assert_true(child_now_ns() < deadline);
        child_nap();
        scene_ask(worker, seed, TOKENS, &answer);
        scene_same(&answer, expected);
    }
}

static void an_absent_sidecar_costs_one_warning(void **state)
{
    struct scene *scene = *state;
    struct engine_worker worker;
    struct engine_answer answer;
    struct engine_answer expected;
    char text[2048];
    assert_true(daemon_stop(&scene->daemon));
    int errors = open_errors(scene);
    scene_expect(scene, scene->model, NULL, 1, TOKENS, &expected);
    scene_start(scene, scene->model, NULL, errors, &worker);
    for (int i = 0; i < 3; i++) {
        scene_ask(&worker, 1, TOKENS, &answer);
        assert_int_equal(answer.reused_tokens + answer.stored_blocks, 0);
        scene_same(&answer, &expected);
    }
    assert_int_equal(lines_in(errors, text, sizeof text), 1);
    assert_non_null(strstr(text, "goes on without the cache"));
    /* It comes later: then it is used, and that is said once, too. */
    assert_true(daemon_restart(&scene->daemon));
    ask_until_reused(&worker, 1, &expected);
    assert_int_equal(lines_in(errors, text, sizeof text), 2);
    assert_int_equal(engine_worker_stop(&worker), 0);
    (void)close(errors);
}

static void a_killed_server_is_not_noticed_in_the_answers(void **state)
{
    struct scene *scene = *state;
    struct engine_worker worker;
    struct engine_answer answer;
    struct engine_answer expected;
    uint64_t seed = check_seed();
    int errors = open_errors(scene);
    scene_expect(scene, scene->model, NULL, 2, TOKENS, &expected);
    scene_start(scene, scene->model, NULL, errors, &worker);
    for (int i = 0; i < KILLS; i++) {
        pid_t old = daemon_server(&scene->daemon);
        uint64_t prompt = check_random(&seed) % 2 == 0 ? 2 : 3; /* what is known, and what is not */
        scene_send(&worker, prompt, TOKENS);
        for (uint64_t naps = check_random(&seed) % 60; naps > 0; naps--) {
            child_nap();
        }
        (void)daemon_kill_server(&scene->daemon);
        scene_receive(&worker, &answer);
        if (prompt == 2) {
            scene_same(&answer, &expected);
        }
        assert_true(daemon_awaits(&scene->daemon, old) > 0);
        ask_until_reused(&worker, 2, &expected);
    }
    assert_int_equal(engine_worker_stop(&worker), 0);
    (void)close(errors);
}

static void a_new_sidecar_is_taken_up(void **state)
{
    struct scene *scene = *state;
    struct engine_worker worker;
    struct engine_answer answer;
    struct engine_answer expected;
    char text[4096];
    int errors = open_errors(scene);
    scene_expect(scene, scene->model, NULL, 4, TOKENS, &expected);
    scene_start(scene, scene->model, NULL, errors, &worker);
    scene_ask(&worker, 4, TOKENS, &answer);
    daemon_kill(&scene->daemon);
    for (int i = 0; i < 3; i++) {
        scene_ask(&worker, 4, TOKENS, &answer);
        scene_same(&answer, &expected);
    }
    assert_true(lines_in(errors, text, sizeof text) <= 1);
    assert_true(daemon_restart(&scene->daemon));
    ask_until_reused(&worker, 4, &expected);
    assert_int_equal(engine_worker_stop(&worker), 0);
    (void)close(errors);
}

static void a_killed_worker_takes_nothing_with_it(void **state)
{
    const struct scene *scene = *state;
    struct engine_worker survivor;
    struct engine_answer answer;
    struct engine_answer expected;
    uint64_t seed = check_seed();
    scene_start(scene, scene->model, NULL, -1, &survivor);
    for (uint64_t i = 0; i < KILLS; i++) {
        struct engine_worker victim;
        scene_start(scene, scene->model, NULL, -1, &victim);
        scene_send(&victim, 50 + i, TOKENS);
        for (uint64_t naps = check_random(&seed) % 60; naps > 0; naps--) {
            child_nap();
        }
        engine_worker_kill(&victim);
        scene_expect(scene, scene->model, NULL, 50 + i, TOKENS, &expected);
        scene_ask(&survivor, 50 + i, TOKENS, &answer);
        scene_same(&answer, &expected);
        assert_int_equal(answer.refused_blocks, 0);
        scene_ask_until(
            &survivor, 50 + i, TOKENS, (TOKENS - 1) / SCENE_BLOCK * SCENE_BLOCK, &expected);
    }
    assert_int_equal(engine_worker_stop(&survivor), 0);
}

/* At the door of a sidecar that speaks another language. */
static int speak_nonsense(void *context, struct child_page *page)
{
    const struct sockaddr_un *address = context;
    int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    child_need(page,
        bind(door, (const struct sockaddr *)address, sizeof *address) == 0 && listen(door, 8) == 0,
        "a door");
    child_at(page, 1);
    int guest;
    while ((guest = accept(door, NULL, NULL)) >= 0) {
        char nonsense[512] = "welcome to a sidecar of another version";
        (void)recv(guest, nonsense + 64, sizeof nonsense - 64, 0);
        (void)send(guest, nonsense, sizeof nonsense, MSG_NOSIGNAL);
        (void)close(guest);
    }
    return 1;
}

static void a_sidecar_that_is_not_understood_is_left_alone(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct engine_worker worker;
    struct engine_answer answer;
    struct engine_answer expected;
    struct child other;
    char text[2048];
    char path[96];
    (void)snprintf(path, sizeof path, "%s/other.sock", scene->folder);
    memcpy(address.sun_path, path, sizeof path);
    assert_true(child_start(&other, speak_nonsense, &address));
    assert_true(child_reaches(&other, 1));
    const char *flags[] = {"--socket", path, NULL};
    int errors = open_errors(scene);
    scene_expect(scene, scene->model, NULL, 6, TOKENS, &expected);
    scene_start(scene, scene->model, flags, errors, &worker);
    for (int i = 0; i < 2; i++) {
        scene_ask(&worker, 6, TOKENS, &answer);
        scene_same(&answer, &expected);
    }
    assert_int_equal(lines_in(errors, text, sizeof text), 1);
    assert_int_equal(engine_worker_stop(&worker), 0);
    child_kill(&other);
    (void)close(errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            an_absent_sidecar_costs_one_warning, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            a_killed_server_is_not_noticed_in_the_answers, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(a_new_sidecar_is_taken_up, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            a_killed_worker_takes_nothing_with_it, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(
            a_sidecar_that_is_not_understood_is_left_alone, scene_set_up, scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
