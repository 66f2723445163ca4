/* copy_table: what scenario_put and scenario_get have in common. */
#include "bench/copy_table.h"

#include "bench/table.h"

static void write_size(cJSON *sizes, const struct copy_run_result *result)
{
    char name[32];
    snprintf(name, sizeof name, "%llu", (unsigned long long)result->block_bytes);
    cJSON *size = report_object(sizes, name);
    report_number(size, "gbps", result->gb_per_s);
    report_number(size, "memcpy_gbps", result->memcpy_gb_per_s);
    report_number(size, "ratio", result->ratio);
    report_number(size, "ratio_min", result->ratio_min);
    report_number(size, "ratio_max", result->ratio_max);
    report_number(size, "p50_us", result->p50_us);
    report_number(size, "p99_us", result->p99_us);
    report_number(size, "p999_us", result->p999_us);
    report_number(size, "grant_waits", (double)result->grant_waits);
    report_number(size, "missed", (double)result->missed);
}

static void add_row(struct table *table, const struct copy_run_result *result)
{
    table_row(table);
    table_cell(table, 0, "%llu KiB", (unsigned long long)(result->block_bytes >> 10));
    table_cell(table, 1, "%s", result->block_bytes >= 256 << 10 ? "≥ 0.95" : "");
    table_cell(table, 2, "%.2f; %.1f, %.1f, %.1f", result->gb_per_s, result->p50_us, result->p99_us,
        result->p999_us);
    table_cell(table, 3, "%.2f", result->memcpy_gb_per_s);
    table_cell(
        table, 4, "%.3f (%.3f to %.3f)", result->ratio, result->ratio_min, result->ratio_max);
}

static void print(
    const struct copy_run *run, enum copy_direction direction, const struct table *table, FILE *to)
{
    fprintf(to,
        "\n%s: pool %.2f GiB, buffers %.2f GiB, %llu rounds of %llu MiB in turn with memcpy\n\n",
        direction == COPY_PUT ? "put, new keys into a full pool"
                              : "get, random blocks of a pool three quarters full",
        (double)run->pool_bytes / (1 << 30), (double)run->buffer_bytes / (1 << 30),
        (unsigned long long)run->options->runs * COPY_RUN_ROUNDS,
        (unsigned long long)(COPY_RUN_ROUND_BYTES >> 20));
    table_print(table, to);
    fputs(
        "\n  medians over rounds; the ratio is the median of the rounds' ratios (least to most)\n",
        to);
}

bool copy_table(const struct options *options, enum copy_direction direction, struct report *report)
{
    struct copy_run run;
    struct table table;
    const char *columns[TABLE_COLUMNS] = {
        "block size", "goal, ratio", "GB/s; call p50, p99, p99.9 (µs)", "memcpy (GB/s)", "ratio"};
    if (!copy_run_open(options, &run)) {
        return false;
    }
    report_cores(report, &run.plan);
    report_text(report->root, "unit", "gbps: 10^9 bytes a second");
    report_number(report->root, "rounds", (double)options->runs * COPY_RUN_ROUNDS);
    report_number(report->root, "pool_bytes", (double)run.pool_bytes);
    report_number(report->root, "buffer_bytes", (double)run.buffer_bytes);
    cJSON *sizes = report_object(report->root, "sizes");
    table_start_columns(&table, columns);
    bool good = true;
    for (int i = 0; good && i < COPY_RUN_SIZES; i++) {
        struct copy_run_result result;
        good = copy_run_size(&run, direction, copy_run_sizes[i], &result);
        if (good) {
            add_row(&table, &result);
            write_size(sizes, &result);
        }
    }
    if (good) {
        print(&run, direction, &table, report->people);
    }
    copy_run_close(&run);
    return good;
}
