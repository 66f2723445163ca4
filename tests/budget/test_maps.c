/* A hit writes no line that another process reads or writes but the client's own lane: all else is
 * mapped so that it cannot be written, and cannot be made writable. */
#include "tests/budget/stage.h"
#include "tests/check.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static const char *const flags[] = {"--pool=64MiB", NULL};

/* What /proc/self/maps says of the segments of one name. */
struct mapped {
    uint32_t readonly; /* mappings r--s */
    uint32_t writable; /* mappings rw-s */
    uint32_t other;
    uint32_t unlockable; /* readonly ones that mprotect() could make writable */
};

static void look_at(struct mapped *mapped, const char *line)
{
    unsigned long long from = 0;
    unsigned long long to = 0;
    char rights[5] = "";
    if (sscanf(line, "%llx-%llx %4s", &from, &to, rights) != 3) {
        return;
    }
    if (strcmp(rights, "rw-s") == 0) {
        mapped->writable++;
    } else if (strcmp(rights, "r--s") == 0) {
        mapped->readonly++;
        void *at = (void *)(uintptr_t)from;
        if (mprotect(at, (size_t)(to - from), PROT_READ | PROT_WRITE) == 0) {
            mapped->unlockable++;
        }
    } else {
        mapped->other++;
    }
}

static struct mapped find(struct stage *stage, const char *name)
{
    struct mapped mapped = {0};
    char wanted[64];
    char line[512];
    (void)snprintf(wanted, sizeof wanted, "/memfd:%s ", name); /* " (deleted)" follows */
    FILE *maps = fopen("/proc/self/maps", "re");
    child_need(stage->page, maps != NULL, "no /proc/self/maps: %s", strerror(errno));
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, wanted) != NULL) {
            look_at(&mapped, line);
        }
    }
    (void)fclose(maps);
    return mapped;
}

static void expect(struct stage *stage, const char *name, bool writable)
{
    struct mapped mapped = find(stage, name);
    bool right = mapped.other == 0 && mapped.unlockable == 0 &&
                 (writable ? mapped.writable == 1 && mapped.readonly == 0
                           : mapped.readonly >= 1 && mapped.writable == 0);
    child_need(stage->page, right,
        "%s: %u read-only (%u could be made writable), %u writable, %u other mappings", name,
        mapped.readonly, mapped.unlockable, mapped.writable, mapped.other);
}

static void trusted(struct stage *stage)
{
    gauge_close(&stage->gauge); /* maps the index too */
    expect(stage, "cistern-index", false);
    expect(stage, "cistern-lane-server", false);
    expect(stage, "cistern-lane-client", true);
    expect(stage, "cistern-pool", true);
}

static void isolated(struct stage *stage)
{
    gauge_close(&stage->gauge);
    expect(stage, "cistern-index", false);
    expect(stage, "cistern-lane-server", false);
    expect(stage, "cistern-lane-client", true);
    expect(stage, "cistern-pool", false);
    expect(stage, "cistern-staging", true);
}

static void a_client_can_write_its_lane_and_what_it_is_lent(void **state)
{
    (void)state;
    stage_run(flags, 0, trusted);
}

static void an_isolated_client_can_write_its_lane_and_its_staging(void **state)
{
    (void)state;
    stage_run(flags, CISTERN_ISOLATED, isolated);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_can_write_its_lane_and_what_it_is_lent),
        cmocka_unit_test(an_isolated_client_can_write_its_lane_and_its_staging),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
