"""connector: vLLM's offloading connector on Cistern's pool, whose loads may fail.

vLLM's own asserts that no load fails. Here the pool belongs to another process, so a load that did
not come whole is told to the scheduler, and the request is computed as if nothing had been found.
"""

# mypy: disable-error-code="import, misc, no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorRole,
    KVConnectorTransferResults,
)
from vllm.distributed.kv_transfer.kv_connector.v1.offloading_connector import OffloadingConnector
from vllm.logger import init_logger

from cistern.engines.vllm import identity
from cistern.engines.vllm.manager import CisternManager
from cistern.engines.vllm.spec import know
from cistern.engines.vllm.worker import CisternWorker

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.forward_context import ForwardContext
    from vllm.v1.kv_cache_interface import KVCacheConfig
    from vllm.v1.outputs import KVConnectorOutput
    from vllm.v1.request import Request

logger = init_logger("vllm.cistern")


def _use_our_spec(vllm_config: VllmConfig) -> dict[str, Any]:
    assert vllm_config.kv_transfer_config is not None
    extra = vllm_config.kv_transfer_config.kv_connector_extra_config
    extra.update(spec_name="CisternOffloadingSpec", spec_module_path="cistern.engines.vllm")
    return extra


class CisternConnector(OffloadingConnector):
    """See the package's text. Its options are those of CisternOffloadingSpec."""

    def __init__(self, vllm_config: VllmConfig, role: KVConnectorRole,
                 kv_cache_config: KVCacheConfig) -> None:
        extra = _use_our_spec(vllm_config)
        extra[identity.KEY] = know(extra, vllm_config)
        super().__init__(vllm_config, role, kv_cache_config)
        del extra[identity.KEY]  # it was for the spec; the configuration travels on
        self._loading: dict[int, Any] = {}  # worker: the jobs under way
        self._invalid_blocks: set[int] = set()
        if role is KVConnectorRole.SCHEDULER and \
                self._kv_transfer_config.kv_load_failure_policy != "recompute":
            logger.warning('Cistern: set "kv_load_failure_policy": "recompute" in the '
                           "--kv-transfer-config, or a request whose blocks went fails")

    @classmethod
    def build_prom_metrics(cls, vllm_config: VllmConfig, *arguments: Any) -> Any:
        _use_our_spec(vllm_config)  # the front end's process makes no connector
        return super().build_prom_metrics(vllm_config, *arguments)

    @property
    def _manager(self) -> CisternManager:
        manager = self.scheduler.manager
        assert isinstance(manager, CisternManager)
        return manager

    # In the scheduler

    def on_new_request(self, request: Request) -> None:
        self._manager.set_salt(request.request_id, identity.salt_of(request))
        super().on_new_request(request)

    def update_connector_output(self, connector_output: KVConnectorOutput) -> None:
        for request_id in connector_output.failed_recving:
            self._manager.give_up(request_id)
        super().update_connector_output(connector_output)

    # In each worker

    def register_kv_caches(self, kv_caches: dict[str, Any]) -> None:
        super().register_kv_caches(kv_caches)
        self._worker.failures_are_told = True

    @property
    def _worker(self) -> CisternWorker:
        assert self.connector_worker is not None
        worker = self.connector_worker.worker
        assert isinstance(worker, CisternWorker)
        return worker

    def start_load_kv(self, forward_context: ForwardContext, **kwargs: Any) -> None:
        metadata: Any = self._connector_metadata
        self._loading.update(metadata.load_jobs)
        super().start_load_kv(forward_context, **kwargs)

    def get_transfer_results(self, finished_req_ids: set[str]) -> KVConnectorTransferResults:
        results = super().get_transfer_results(finished_req_ids)
        failed, done = self._worker.take_loads()
        for job in done:
            entry = self._loading.pop(job)
            if job in failed:
                self._tell(entry, results)
        return results

    def get_block_ids_with_load_errors(self) -> set[int]:
        blocks, self._invalid_blocks = self._invalid_blocks, set()
        return blocks

    def _tell(self, entry: Any, results: KVConnectorTransferResults) -> None:
        if not getattr(entry, "sync", False):
            results.failed_recving.add(entry.req_id)
            return
        # vLLM 0.33, sync_load_budget_bytes: the request was already in this step's batch.
        if len(entry.dst_spec.group_sizes) > 1:
            raise RuntimeError("blocks are missing that this step has read: leave "
                               "sync_load_budget_bytes out for a model of several KV cache groups")
        self._invalid_blocks.update(int(block) for block in entry.dst_spec.block_ids)
