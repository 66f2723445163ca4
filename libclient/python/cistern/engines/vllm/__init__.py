"""vLLM: its KV cache offloaded into Cistern's pool, shared by all engines of the host.

    vllm serve MODEL --kv-transfer-config '{"kv_connector": "CisternConnector",
        "kv_connector_module_path": "cistern.engines.vllm", "kv_role": "kv_both",
        "kv_load_failure_policy": "recompute"}'

vLLM's own OffloadingConnector keeps the books: which block of which request is where, hybrid
groups, sliding windows, preemption. Below it our pool is the medium (manager, worker), and above it
CisternConnector says which model it is, and has what could not be loaded computed again.
"""

# mypy: disable-error-code="import, misc, no-any-return"

from cistern.engines.vllm.connector import CisternConnector
from cistern.engines.vllm.spec import CisternOffloadingSpec

__all__ = ["CisternConnector", "CisternOffloadingSpec"]
