/* report: builds the JSON with cJSON; knows where the facts about the machine stand. */
#include "bench/report.h"

#include "bench_commit.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 512

/* The rest of the first line of `path` that starts with `prefix`, behind the colon or blank. */
static void find_line(const char *path, const char *prefix, char out_text[LINE_BYTES])
{
    snprintf(out_text, LINE_BYTES, "unknown");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, prefix, strlen(prefix)) == 0) {
            const char *text = line + strlen(prefix);
            text += strspn(text, " \t:");
            snprintf(out_text, LINE_BYTES, "%.*s", (int)strcspn(text, "\n"), text);
            break;
        }
    }
    fclose(file);
}

static void add_machine(cJSON *root)
{
    cJSON *machine = report_object(root, "machine");
    char text[LINE_BYTES];
    struct utsname names;
    find_line("/proc/cpuinfo", "model name", text);
    report_text(machine, "cpu", text);
    report_number(machine, "cores", (double)sysconf(_SC_NPROCESSORS_ONLN));
    report_number(machine, "last_level_cache_bytes", (double)sysconf(_SC_LEVEL3_CACHE_SIZE));
    report_number(
        machine, "memory_bytes", (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE));
    report_text(machine, "kernel", uname(&names) == 0 ? names.release : "unknown");
    find_line("/proc/meminfo", "HugePages_Total", text);
    report_text(machine, "huge_pages", text);
    find_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "", text);
    report_text(machine, "shmem_huge_pages", text);
}

bool report_open(const struct options *options, struct report *out_report)
{
    bool json_alone = options->json_path != NULL && strcmp(options->json_path, "-") == 0;
    struct report report = {.root = cJSON_CreateObject(), .people = json_alone ? stderr : stdout};
    if (report.root == NULL) {
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    report_text(report.root, "scenario", scenario_names[options->scenario]);
    report_text(report.root, "commit", BENCH_COMMIT);
    char now[64] = "unknown";
    time_t seconds = time(NULL);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) != NULL) {
        strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    report_text(report.root, "time", now);
    add_machine(report.root);
    *out_report = report;
    return true;
}

bool report_write(const struct report *report, const char *json_path)
{
    if (json_path == NULL) {
        return true;
    }
    char *text = cJSON_Print(report->root);
    bool standard = strcmp(json_path, "-") == 0;
    FILE *file = text == NULL ? NULL : standard ? stdout : fopen(json_path, "we");
    bool good = file != NULL && fputs(text, file) >= 0 && fputc('\n', file) != EOF;
    good = (file == NULL || (standard ? fflush(file) : fclose(file)) == 0) && good;
    if (!good) {
        fprintf(stderr, "cistern-bench: cannot write %s: %s\n", json_path, strerror(errno));
    }
    free(text);
    return good;
}

void report_close(struct report *report)
{
    cJSON_Delete(report->root);
    report->root = NULL;
}

void report_number(cJSON *object, const char *key, double value)
{
    double rounded = fabs(value) < 1e9 ? round(value * 1e4) / 1e4 : value;
    cJSON_AddNumberToObject(object, key, rounded);
}

void report_text(cJSON *object, const char *key, const char *text)
{
    cJSON_AddStringToObject(object, key, text);
}

void report_null(cJSON *object, const char *key)
{
    cJSON_AddNullToObject(object, key);
}

cJSON *report_object(cJSON *object, const char *key)
{
    return cJSON_AddObjectToObject(object, key);
}

void report_runs(cJSON *object, const char *key, struct stats *runs)
{
    cJSON *entry = report_object(object, key);
    report_number(entry, "median", stats_median(runs));
    report_number(entry, "min", stats_min(runs));
    report_number(entry, "max", stats_max(runs));
    report_number(entry, "runs", (double)runs->count);
}

void report_cores(const struct report *report, const struct pin_cpu_plan *plan)
{
    cJSON *cores = report_object(report->root, "cores");
    report_number(cores, "usable", plan->count);
    report_number(cores, "server", plan->server);
    report_number(cores, "client", plan->client);
    if (plan->server >= 0 && plan->client >= 0) {
        fprintf(report->people, "%d cores: the sidecar on core %d, the client on core %d\n",
            plan->count, plan->server, plan->client);
    } else {
        fprintf(report->people,
            "%d core%s, not pinned: figures between processes include the "
            "scheduler\n",
            plan->count, plan->count == 1 ? "" : "s");
    }
}
