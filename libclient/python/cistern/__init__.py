"""cistern: share the KV cache of language models between all processes of a host, from Python.

    client = cistern.Client(cistern.Namespace("llama-8b", block_tokens=16, block_bytes=2 << 20))
    keys = client.keys(tokens)                       # names of the prompt's full blocks
    with client.acquire(keys) as blocks:             # pinned, read in place: no copy, no message
        for block in blocks:
            attend(block.cast("float16", (2, 32, 16, 8, 128)).numpy())
    with client.write(keys[i], parent=keys[i - 1]) as room:  # what nobody had yet
        room.cast("float16", shape).numpy()[...] = kv        # visible to all at the end

`KVCache` is the plain cache of a notebook: prefix, layer, K, V. Importing this needs neither NumPy
nor torch. The sidecar may stop at any time: calls of a Client then raise `NoServer` (compute
without the cache), arrays stay readable, and the client attaches again by itself.
"""

from cistern._blob import BadBlob, Layer, deserialize, serialize
from cistern._cistern import Blocks, Keys, Slot, Tensor
from cistern._client import Answer, Claim, Client, Match, Namespace
from cistern._errors import *  # noqa: F403
from cistern._errors import __all__ as _error_names
from cistern._lifeline import CacheUnavailable
from cistern._prefix import compute_prefix_hash, get_prefix_similarity
from cistern.kvcache import Entry, KVCache

__all__ = [
    "Answer", "BadBlob", "Blocks", "CacheUnavailable", "Claim", "Client", "Entry", "KVCache",
    "Keys", "Layer", "Match", "Namespace", "Slot", "Tensor", "compute_prefix_hash", "deserialize",
    "get_prefix_similarity", "serialize", *_error_names,
]
