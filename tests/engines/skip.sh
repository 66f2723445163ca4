#!/usr/bin/env bash
# In the place of tests that were not built: says why, and skips.
echo "no libllama here: bench/engines/llama/fetch gets it; then meson setup --reconfigure"
exit 77
