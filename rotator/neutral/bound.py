"""What a protocol tells of the opaque reasoning state in its requests, where they go on without being translated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from rotator.neutral.error import NeutralError


class Stripped(NamedTuple):
    """Whether reasoning was taken out of a request, and the codes of what else it must do without for that."""

    taken: bool
    lost: tuple[str, ...] = ()


class BoundState(Protocol):
    """Where the requests of a protocol hold opaque reasoning state.  Source: protocols.md 2.4."""

    #: One of these stands in every body that holds any: the others are not walked.
    marks: Sequence[bytes]

    def found(self, body: Mapping[str, Any]) -> Iterable[str]:
        """Every state in a client's request, in their order."""
        ...

    def strip(self, body: dict[str, Any], foreign: Callable[[str], bool]) -> Stripped:
        """Take out of a request, in place, the reasoning whose state is foreign, and what that leaves empty.

        Reasoning without a state has the state "".
        """
        ...

    def refused(self, error: NeutralError) -> bool:
        """Whether an upstream's error says that it does not take reasoning of earlier turns back."""
        ...
