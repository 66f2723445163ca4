/* main: cistern-bench. Reads the command line, runs one scenario, writes its JSON. */
#include "bench/options.h"
#include "bench/process.h"
#include "bench/report.h"
#include "bench/scenario.h"

static const scenario_run runs[SCENARIO_COUNT] = {
    [SCENARIO_HIT] = scenario_hit,
    [SCENARIO_PREFIX] = scenario_prefix,
    [SCENARIO_PUT] = scenario_put,
    [SCENARIO_GET] = scenario_get,
    [SCENARIO_COMMIT] = scenario_commit,
    [SCENARIO_SCALE] = scenario_scale,
    [SCENARIO_SERVER] = scenario_server,
    [SCENARIO_REUSE] = scenario_reuse,
    [SCENARIO_RESTART] = scenario_restart,
    [SCENARIO_CODEC] = scenario_codec,
    [SCENARIO_POLICY] = scenario_policy,
    [SCENARIO_NVME] = scenario_nvme,
    [SCENARIO_GPU] = scenario_gpu,
    [SCENARIO_ENGINE] = scenario_engine,
};

int main(int argc, char **argv)
{
    struct options options = {0};
    bool help = false;
    if (!options_parse(argc, argv, &options, &help)) {
        return 2;
    }
    if (help) {
        options_help(stdout);
        return 0;
    }
    struct report report;
    if (!report_open(&options, &report)) {
        return 1;
    }
    process_guard();
    bool good = runs[options.scenario](&options, &report);
    good = good && report_write(&report, options.json_path);
    report_close(&report);
    return good ? 0 : 1;
}
