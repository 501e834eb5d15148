"""Reading a client's JSON: each member once, by its type, and what was not read is left over.

Wrong types are the client's fault and are refused with their path, as the vendors do (protocols.md 2.8 says what must
be accepted all the same). ``null`` counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, TypeVar

from rotator.api import ErrorKind, Path, Refused, error_of, written_path

T = TypeVar("T")

#: The code of a refusal: no other vendor keeps conversations.
UNKEPT = "conversation_unsupported"


def refuse(at: Path, reason: str, *, code: str | None = None) -> NoReturn:
    """400 naming the field; retrying cannot help."""
    name = written_path(at)
    message = f"{name}: {reason}" if name else reason
    raise Refused(error_of(ErrorKind.BAD_REQUEST, message, code=code, param=name or None, should_retry=False))


class Fields:
    """One object of the client's JSON and where it stands.  Every method raises Refused for a wrong type."""

    __slots__ = ("_left", "at")

    def __init__(self, value: Any, at: Path) -> None:
        if not isinstance(value, dict):
            refuse(at, "must be an object")
        self._left: dict[str, Any] = value.copy()
        self.at = at

    def has(self, name: str) -> bool:
        """Whether a member is there, not null, and was not read yet."""
        return self._left.get(name) is not None

    def raw(self, name: str) -> Any:
        """Any JSON, None where absent."""
        return self._left.pop(name, None)

    def text(self, name: str, *, required: bool = False) -> str | None:
        """A string."""
        return self._of(name, str, "a string", required)

    def word(self, name: str) -> str:
        """A string that must be there."""
        return self._of(name, str, "a string", True) or ""

    def flag(self, name: str) -> bool | None:
        """True or false; the words "true" and "false" are neither (conversion-pitfalls.md P196)."""
        return self._of(name, bool, "true or false", False)

    def whole(self, name: str) -> int | None:
        """An integer; 3.0 is one."""
        value = self._left.pop(name, None)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            refuse((*self.at, name), "must be an integer")
        return value

    def number(self, name: str) -> float | None:
        """A number, an integer as it stands."""
        value = self._left.pop(name, None)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            refuse((*self.at, name), "must be a number")
        return value

    def mapping(self, name: str, *, required: bool = False) -> dict[str, Any] | None:
        """An object as it stands."""
        return self._of(name, dict, "an object", required)

    def fields(self, name: str) -> Fields | None:
        """An object to be read in the same way."""
        value = self.mapping(name)
        return None if value is None else Fields(value, (*self.at, name))

    def list(self, name: str, *, required: bool = False) -> Any:
        """A list as it stands, None where absent."""
        return self._of(name, list, "a list", required)

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of strings."""
        values = self.list(name)
        if values is None:
            return None
        for place, value in enumerate(values):
            if not isinstance(value, str):
                refuse((*self.at, name, place), "must be a string")
        return tuple(values)

    def each(self, name: str) -> Iterator[Fields]:
        """The objects of a list; none where it is absent."""
        for place, value in enumerate(self.list(name) or ()):
            yield Fields(value, (*self.at, name, place))

    def rest(self) -> Mapping[str, Any]:
        """What nobody read, without nulls."""
        return {name: value for name, value in self._left.items() if value is not None} if self._left else {}

    def drop(self, *names: str) -> None:
        """Members that were read elsewhere."""
        for name in names:
            self._left.pop(name, None)

    def _of(self, name: str, kind: type[T], words: str, required: bool) -> T | None:
        value = self._left.pop(name, None)
        if value is None:
            if required:
                refuse((*self.at, name), "is required")
            return None
        if not isinstance(value, kind):
            refuse((*self.at, name), f"must be {words}")
        return value
