"""Exceptions: one class for each status below 0, in groups by what the caller does next.

The numbers are those of cistern.h; they never change once released. Answers (0 and above: hot,
miss, mine, other) are no exceptions.
"""

from __future__ import annotations

__all__ = [
    "Broken", "Busy", "CallerError", "Denied", "DeviceLost", "Error", "Forked", "Internal",
    "Invalid", "IoFailed", "LimitReached", "Malformed", "Mismatch", "NamespaceDiffers", "NoCache",
    "NoServer", "NotNow", "OutOfMemory", "OutOfPins", "OutOfThreads", "Stale", "TooLarge",
    "Unsupported", "VersionDiffers",
]


class Error(Exception):
    """What libcistern said.

    status  the number, as in cistern.h
    name    its name: 'NO_SERVER'
    advice  what to do about it
    """

    def __init__(self, status: int, name: str, meaning: str, advice: str, why: str) -> None:
        super().__init__(status, name, meaning, advice, why)
        self.status = status
        self.name = name
        self.meaning = meaning
        self.advice = advice
        self.why = why

    def __str__(self) -> str:
        return f"{self.why or self.meaning} ({self.name}: {self.advice})"


class CallerError(Error):
    """This call is wrong: correct the caller. Statuses -1 to -99."""


class NotNow(Error):
    """Try again later. Statuses -100 to -199."""


class NoCache(Error):
    """No cache for now: compute; the library attaches again by itself. Statuses -200 to -299."""


class Mismatch(Error):
    """The two sides differ: upgrade one of them. Statuses -300 to -399."""


class Broken(Error):
    """Something broke: report it. Statuses -400 to -499."""


class Invalid(CallerError, ValueError):
    """An argument is wrong."""


class NamespaceDiffers(CallerError):
    """Another worker opened a namespace of this name that is not the same."""


class Stale(CallerError):
    """A view was released before, or a slot committed or aborted."""


class Forked(CallerError):
    """The client was opened by the parent process: a forked child opens its own."""


class TooLarge(CallerError):
    """It does not fit."""


class Denied(CallerError, PermissionError):
    """The sidecar does not let this user in."""

    __str__ = Error.__str__


class Busy(NotNow):
    """The sidecar is behind, or has no free slot."""


class OutOfPins(NotNow):
    """All pins of this thread are in use: release some blocks."""


class OutOfThreads(NotNow):
    """More threads use the client than it was opened for (`threads`)."""


class LimitReached(NotNow):
    """Something of which there is a limit ran out."""


class NoServer(NoCache, ConnectionError):
    """No sidecar serves the client."""

    __str__ = Error.__str__


class DeviceLost(NoCache):
    """The GPU failed: that takes a new process."""


class VersionDiffers(Mismatch):
    """Library and sidecar are of versions that do not understand each other."""


class Malformed(Mismatch):
    """The sidecar said what no sidecar of this version says."""


class Unsupported(Mismatch):
    """The other side cannot do that."""


class Internal(Broken):
    """A mistake of ours."""


class IoFailed(Broken, OSError):
    """The operating system refused."""

    __str__ = Error.__str__


class OutOfMemory(Broken, MemoryError):
    """No memory."""


_CLASSES: dict[int, type[Error]] = {
    -1: Invalid, -2: NamespaceDiffers, -3: Stale, -4: Forked, -5: TooLarge, -6: Denied,
    -100: Busy, -101: OutOfPins, -102: OutOfThreads, -103: LimitReached,
    -200: NoServer, -201: DeviceLost,
    -300: VersionDiffers, -301: Malformed, -302: Unsupported,
    -400: Internal, -401: IoFailed, -402: OutOfMemory,
}
_GROUPS: tuple[type[Error], ...] = (CallerError, NotNow, NoCache, Mismatch, Broken)


def error_of(status: int, name: str, meaning: str, advice: str, why: str) -> Error:
    """The exception of a status; of one that this version does not know, its group's."""
    group = _GROUPS[min(-status // 100, len(_GROUPS) - 1)]
    return _CLASSES.get(status, group)(status, name, meaning, advice, why)
