"""What a conversion did: losses, which the client is told, and notes, which the trace holds (design.md 2.2, 3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from rotator.neutral.parts import Path, Rest, written_path

#: Of one attempt; nobody may read them, and a stream has any number of events.
NOTES_LIMIT: Final = 1_000
#: A conversation of thousands of turns may lose the same thing in each.
LOSSES_LIMIT: Final = 200


class Note(NamedTuple):
    """What one step did to one place of the JSON, for the trace; ``step`` is the adapter's or the conversion's name."""

    step: str
    code: str
    path_from: str = ""
    path_to: str = ""


class Loss(NamedTuple):
    """Something that the target cannot say.  ``code`` is one that its protocol declares; ``path`` is the client's."""

    code: str
    path: str = ""
    detail: str = ""


class Ledger:
    """The losses and notes of one attempt, in the order in which they happened; equal losses count once.

    ``notes`` is None where nobody reads them. ``beyond`` counts losses past the limit.
    """

    __slots__ = ("_seen", "beyond", "losses", "notes")

    def __init__(self, notes: list[Note] | None = None) -> None:
        self.losses: list[Loss] = []
        self.notes = notes
        self.beyond = 0
        self._seen: set[Loss] = set()

    def lose(self, code: str, at: Path = (), detail: str = "") -> None:
        """Something at a place of the client's request (or of an answer) is not told on."""
        self.add(Loss(code, written_path(at), detail))

    def add(self, loss: Loss) -> None:
        """A loss that was found before."""
        if loss in self._seen:
            return
        if len(self.losses) >= LOSSES_LIMIT:
            self.beyond += 1
            return
        self._seen.add(loss)
        self.losses.append(loss)

    def lose_rest(self, rest: Rest, at: Path, quiet: Iterable[str] = ()) -> None:
        """Members that only the client's protocol knows; those in ``quiet`` change nothing that anybody would miss."""
        for name in rest:
            if name not in quiet:
                self.lose("field.foreign", (*at, name))

    def set_aside(self, rest: Rest, step: str) -> None:
        """Members of an answer's envelope that another protocol has no place for: nobody asked for them, so a note."""
        for name in rest:
            self.note(step, "set_aside", (name,))

    def note(self, step: str, code: str, at: Path = (), to: Path = ()) -> None:
        """A step of a conversion, told in the trace."""
        if self.notes is not None and len(self.notes) < NOTES_LIMIT:
            self.notes.append(Note(step, code, written_path(at), written_path(to)))
