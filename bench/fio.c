/* fio: starts the child and reads what it says. See fio.h. */
#include "bench/fio.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MOST (UINT64_C(4) << 20)

/* Run argv, its standard output into `output` (-1: nowhere). Returns true if it exits with 0. */
static bool run(char *const argv[], int output)
{
    pid_t child = fork();
    if (child < 0) {
        perror("cistern-bench: fork");
        return false;
    }
    if (child == 0) {
        int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(output >= 0 ? output : nowhere, STDOUT_FILENO);
        if (output < 0) {
            (void)dup2(nowhere, STDERR_FILENO);
        }
        /* Memory in transparent huge pages, as ours: scattered pages make the device slower. */
        (void)setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 1);
        execvp(argv[0], argv);
        _exit(127);
    }
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool fio_found(void)
{
    char name[] = "fio";
    char version[] = "--version";
    return run((char *const[]){name, version, NULL}, -1);
}

static cJSON *read_output(int output)
{
    struct stat about;
    if (fstat(output, &about) != 0 || about.st_size <= 0 || (uint64_t)about.st_size > OUTPUT_MOST) {
        return NULL;
    }
    size_t bytes = (size_t)about.st_size;
    char *text = malloc(bytes + 1);
    cJSON *root = NULL;
    if (text != NULL && pread(output, text, bytes, 0) == (ssize_t)bytes) {
        text[bytes] = '\0';
        const char *begin = strchr(text, '{'); /* notes may stand before it */
        root = begin == NULL ? NULL : cJSON_Parse(begin);
    }
    free(text);
    return root;
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static bool read_result(const cJSON *root, const struct fio_job *job, struct fio_result *out_result)
{
    const cJSON *jobs = cJSON_GetObjectItemCaseSensitive(root, "jobs");
    const cJSON *first = cJSON_GetArrayItem(jobs, 0);
    const cJSON *side = cJSON_GetObjectItemCaseSensitive(first, job->write ? "write" : "read");
    const cJSON *latency = cJSON_GetObjectItemCaseSensitive(side, "lat_ns");
    const cJSON *percentile = cJSON_GetObjectItemCaseSensitive(latency, "percentile");
    double bytes = number(side, "io_bytes");
    double cpu_percent = number(first, "usr_cpu") + number(first, "sys_cpu");
    double runtime_s = number(side, "runtime") / 1e3;
    if (bytes <= 0 || runtime_s <= 0) {
        return false;
    }
    *out_result = (struct fio_result){
        .bytes_per_s = number(side, "bw_bytes"),
        .cpu_s_per_gb = cpu_percent / 100 * runtime_s / (bytes / 1e9),
        .p50_us = number(percentile, "50.000000") / 1e3,
        .p99_us = number(percentile, "99.000000") / 1e3,
    };
    return true;
}

static bool run_job(const struct fio_job *job, struct fio_result *out_result)
{
    char text[7][160];
    (void)snprintf(text[0], sizeof text[0], "--filename=%.140s", job->file);
    (void)snprintf(text[1], sizeof text[1], "--size=%llu", (unsigned long long)job->file_bytes);
    (void)snprintf(text[2], sizeof text[2], "--bs=%llu", (unsigned long long)job->block_bytes);
    (void)snprintf(text[3], sizeof text[3], "--io_size=%llu", (unsigned long long)job->run_bytes);
    (void)snprintf(text[4], sizeof text[4], "--iodepth=%u", job->depth);
    (void)snprintf(text[5], sizeof text[5], "--rw=%s", job->write ? "write" : "randread");
    (void)snprintf(text[6], sizeof text[6], "--%s", job->write ? "overwrite=0" : "readonly");
    char *argv[] = {(char[]){"fio"}, (char[]){"--name=cistern"}, text[0], text[1], text[2], text[3],
        text[4], text[5], text[6], (char[]){"--ioengine=io_uring"}, (char[]){"--direct=1"},
        (char[]){"--fixedbufs"}, (char[]){"--registerfiles"}, (char[]){"--norandommap"},
        (char[]){"--randrepeat=0"}, (char[]){"--lat_percentiles=1"}, (char[]){"--iomem_align=2m"},
        (char[]){"--output-format=json"}, NULL};
    int output = memfd_create("fio", MFD_CLOEXEC);
    bool good = output >= 0 && run(argv, output);
    cJSON *root = good ? read_output(output) : NULL;
    good = root != NULL && read_result(root, job, out_result);
    cJSON_Delete(root);
    if (output >= 0) {
        (void)close(output);
    }
    if (!good) {
        fprintf(stderr, "cistern-bench: fio failed on %s\n", job->file);
    }
    return good;
}

bool fio_prepare(const struct fio_job *job)
{
    struct fio_job whole = *job;
    struct fio_result result;
    whole.write = true;
    whole.block_bytes = UINT64_C(1) << 20;
    whole.run_bytes = job->file_bytes;
    return run_job(&whole, &result);
}

bool fio_run(const struct fio_job *job, struct fio_result *out_result)
{
    return run_job(job, out_result);
}
