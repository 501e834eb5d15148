"""Instructions as words of the user, for models that refuse a system role (Gemma and others; P36).

Every system and developer turn becomes a user turn in its place, its text between tags so that the model can tell it
from what the user says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rotator.api import NeutralAdapter, Request, Text, Turn, written_path


@dataclass(frozen=True, slots=True)
class SystemToUserOptions:
    """``tag`` stands around the text; empty for none."""

    tag: str = "system"


class SystemToUser(NeutralAdapter):
    """Works on the neutral request: it does not matter where a protocol keeps its instructions."""

    name = "system_to_user"
    Options = SystemToUserOptions
    options: SystemToUserOptions

    def on_request(self, request: Request) -> Request:
        turns = tuple(self._users(turn) for turn in request.turns)
        return request if turns == request.turns else replace(request, turns=turns)

    def _users(self, turn: Turn) -> Turn:
        if turn.role not in ("system", "developer"):
            return turn
        self.ctx.note(self.name, f"{turn.role}_to_user", written_path(turn.at))
        parts = tuple(self._tagged(part) if isinstance(part, Text) else part for part in turn.parts)
        return replace(turn, role="user", parts=parts)

    def _tagged(self, part: Text) -> Text:
        tag = self.options.tag
        return replace(part, text=f"<{tag}>\n{part.text}\n</{tag}>") if tag else part
