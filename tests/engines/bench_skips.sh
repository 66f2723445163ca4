#!/usr/bin/env bash
# The scenario engine without a model: it skips, says why in a line, and starts nothing.
# usage: bench_skips.sh CISTERN_BENCH
set -uo pipefail

said=$("$1" engine --model /nonexistent/model.gguf --runs 1 2>&1)
status=$?
if ((status != 77)) || [[ $said != *"no model at /nonexistent/model.gguf"* ]] ||
    [[ $(wc -l <<<"$said") != 1 ]]; then
    echo "exit status $status, and: $said"
    exit 1
fi
