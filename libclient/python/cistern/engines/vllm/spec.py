"""spec: the medium that vLLM offloads to is the pool of the sidecar. See the package's text."""

# mypy: disable-error-code="import, misc, no-any-return"

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vllm.logger import init_logger
from vllm.v1.kv_offload.base import (
    CanonicalKVCaches,
    OffloadingCounterMetadata,
    OffloadingGaugeMetadata,
    OffloadingManager,
    OffloadingSpec,
    OffloadingWorker,
)
from vllm.version import __version__ as vllm_version

import cistern
from cistern.engines import identity
from cistern.engines.attach import Attachment
from cistern.engines.vllm import identity as vllm_identity
from cistern.engines.vllm.manager import METRICS, CisternManager
from cistern.engines.vllm.worker import CisternWorker

if TYPE_CHECKING:
    from vllm.v1.kv_offload.base import OffloadingMetricMetadata
    from vllm.v1.kv_offload.config import OffloadingConfig

logger = init_logger("vllm.cistern")

MANAGER_PINS, WORKER_PINS = 16384, 4096
FETCH_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Known:
    """What the engine says about itself, or why it must do without this cache."""

    facts: dict[str, Any] | None
    doubt: str | None


def know(extra: dict[str, Any], vllm_config: Any) -> Known:
    """From an engine's configuration."""
    return Known(vllm_identity.facts_of(vllm_config, extra.get("weights")),
                 vllm_identity.doubts(vllm_config))


class CisternOffloadingSpec(OffloadingSpec):
    """With CisternConnector; or alone under OffloadingConnector, told by `identity` what makes this
    engine's KV cache what it is: weights, rope, LoRA, quantisation.

    Options, in kv_connector_extra_config: `socket`, `tenant`, `weights` (what the operator calls
    the model's weights, for hosts where their files differ in times), `fetch_timeout` (seconds that
    a request waits for blocks on disk), and vLLM's own (`offload_prompt_only`).
    """

    @classmethod
    def build_metric_definitions(
            cls, extra_config: dict[str, Any]) -> dict[str, OffloadingMetricMetadata]:
        kinds = {"counter": OffloadingCounterMetadata, "gauge": OffloadingGaugeMetadata}
        return {name: kinds[kind](documentation=text) for name, (kind, text) in METRICS.items()}

    def __init__(self, config: OffloadingConfig) -> None:
        super().__init__(config)
        if config.canonical_layout or self.blocks_per_chunk != 1:
            raise ValueError("Cistern keeps blocks as they are: leave canonical_layout, block_size "
                             "and blocks_per_chunk out of kv_connector_extra_config")
        self.replicated_layout = config.replicated_layout
        parallel = config.parallel
        self._ranks = 1 if self.replicated_layout else parallel.world_size
        self._rank = 0 if self.replicated_layout else parallel.rank
        self._doubt = self._find_out()

    def get_manager(self) -> OffloadingManager:
        attachments = [self._attach(rank, pins=MANAGER_PINS) for rank in range(self._ranks)] \
            if self._doubt is None else []
        timeout = float(self.extra_config.get("fetch_timeout", FETCH_TIMEOUT_S))
        return CisternManager(attachments, timeout, self.kv_events_config.enable_kv_cache_events)

    def get_worker(self, kv_caches: CanonicalKVCaches) -> OffloadingWorker:
        return CisternWorker(kv_caches, None if self._doubt else self._attach_worker)

    def _find_out(self) -> str | None:
        """Why there is no cache; None if there is."""
        known = self.extra_config.get(vllm_identity.KEY)
        if known is None:
            known = self._told()
        self._facts = known.facts
        doubt = known.doubt
        if doubt is None and self.config.worker_kv_bytes_per_block <= 0:
            doubt = "vLLM does not say how large its blocks are"
        if doubt is not None:
            logger.warning("Cistern: no cache: %s", doubt)
        elif not os.environ.get("PYTHONHASHSEED"):
            logger.warning("Cistern: PYTHONHASHSEED is not set, so vLLM's block hashes are its own:"
                           " no other engine, and no later one, can use what this one stores")
        return doubt

    def _told(self) -> Known:
        """Without CisternConnector nobody but the operator says what this engine computes."""
        told = self.extra_config.get("identity")
        if not told:
            return Known(None, 'OffloadingConnector does not say which model this is: use '
                               'CisternConnector, or set "identity" in kv_connector_extra_config')
        model = self.config.model
        return Known({"version": vllm_version, "model": model.name, "dtype": model.dtype,
                      "identity": str(told), "hash": vllm_identity.seed(self.config.engine_id)},
                     None)

    def _space(self, rank: int) -> cistern.Namespace:
        config, parallel = self.config, self.config.parallel
        assert self._facts is not None
        facts = {
            **self._facts,
            "layout": config.kv_cache_layout,
            "groups": [[group.tokens_per_block, list(group.layer_names)]
                       for group in config.groups],
            "tokens_per_hash": self.tokens_per_hash,
            "parallel": [parallel.tp_size, parallel.pcp_size, parallel.dcp_size,
                         self.replicated_layout],
            "block_bytes": config.worker_kv_bytes_per_block,
        }
        return identity.space_of(
            "vllm", str(self._facts["version"]), facts, block_tokens=self.tokens_per_hash,
            block_bytes=config.worker_kv_bytes_per_block, rank=rank, ranks=self._ranks,
            tenant=str(self.extra_config.get("tenant", "")))

    def _attach(self, rank: int, **options: Any) -> Attachment:
        return Attachment(self._space(rank), logger, self.extra_config.get("socket"), **options)

    def _attach_worker(self, **options: Any) -> Attachment:
        return self._attach(self._rank, pins=WORKER_PINS, grants=64, **options)
