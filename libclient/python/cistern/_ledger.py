"""Ledger: which entries a cache knows, how large they are, and which it has let go of."""

from __future__ import annotations

from collections import OrderedDict

FORGOTTEN_MAX = 65536


class Ledger:
    """Entries by name, the one used longest ago first. Not for several threads at once.

    The pool is the sidecar's, and what leaves it is the sidecar's choice. A limit of this client
    is kept here: what does not fit any more is let go of, and a miss until it is put again.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self._forgotten: OrderedDict[bytes, None] = OrderedDict()
        self.bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def use(self, name: bytes, size: int) -> None:
        """It was put, or read."""
        self.drop(name)
        self._forgotten.pop(name, None)
        self._sizes[name] = size
        self.bytes += size
        while self._limit is not None and self.bytes > self._limit and self._sizes:
            oldest, freed = self._sizes.popitem(last=False)
            self.bytes -= freed
            self.evictions += 1
            self._forgotten[oldest] = None
            if len(self._forgotten) > FORGOTTEN_MAX:
                self._forgotten.popitem(last=False)

    def drop(self, name: bytes) -> None:
        """It is not there any more."""
        self.bytes -= self._sizes.pop(name, 0)

    def is_forgotten(self, name: bytes) -> bool:
        return name in self._forgotten
