"""cistern: share the KV cache of language models between all processes of a host, from Python.

    client = cistern.Client(cistern.Namespace("llama-8b", block_tokens=16, block_bytes=2 << 20))
    keys = client.keys(tokens)                       # names of the prompt's full blocks
    with client.acquire(keys) as blocks:             # pinned, read in place: no copy, no message
        for block in blocks:
            attend(block.cast("float16", (2, 32, 16, 8, 128)).numpy())
    with client.write(keys[i], parent=keys[i - 1]) as room:  # what nobody had yet
        room.cast("float16", shape).numpy()[...] = kv        # visible to all at the end

Importing this needs neither NumPy nor torch. The sidecar may stop at any time: calls then raise
`NoServer` (compute without the cache), arrays stay readable, and the client attaches again by
itself.
"""

from cistern._cistern import Blocks, Keys, Slot, Tensor
from cistern._client import Answer, Claim, Client, Match, Namespace
from cistern._errors import *  # noqa: F403
from cistern._errors import __all__ as _error_names

__all__ = [
    "Answer", "Blocks", "Claim", "Client", "Keys", "Match", "Namespace", "Slot", "Tensor",
    *_error_names,
]
