#!/usr/bin/env bash
# The scenario gpu on the double: all of it is done, and no figure of a double gets out.
# usage: bench_says_nothing.sh CISTERN_BENCH
set -uo pipefail

json=$(mktemp)
CUDA_DOUBLE_STATE=$(mktemp -d /dev/shm/cistern-double-XXXXXX)
export CUDA_DOUBLE_STATE
trap 'rm -rf "$json" "$CUDA_DOUBLE_STATE"' EXIT
said=$("$1" gpu --runs 1 --json "$json" 2>&1)
status=$?
if ((status != 77)) || [[ $said != *"all was done, no figure means anything"* ]]; then
    echo "exit status $status, and: $said"
    exit 1
fi
# Beside the lines of its sidecar's log.
if [[ $(grep -cvE '^[0-9-]+T[0-9:.]+Z ' <<<"$said") != 1 || -s $json ]]; then
    echo "figures of a double: $said"
    cat "$json"
    exit 1
fi
