"""Developer messages for vendors that know no such role.

OpenAI's newer models take instructions in messages of the role ``developer`` (protocols.md 2.1, "Developer prompt");
agents send them to every compatible server, and many of these answer 400 to a role that they do not know: copilot and
others (engine.md 13.2 row 16, built-in ``suppress_developer_role`` of engine.md 4.9). Each message stays where it is,
also between turns, and keeps everything but its role (conversion-pitfalls.md P23).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from rotator.api import WireAdapter


@dataclass(frozen=True)
class DeveloperRoleOptions:
    """``to``: the role instead; ``drop`` leaves the message out, instructions and all, and says so in the trace."""

    to: Literal["system", "user", "drop"] = "system"


class DeveloperRole(WireAdapter):
    """Requests only: no vendor answers as developer."""

    protocols = ("chat",)
    Options = DeveloperRoleOptions

    def on_request(self, body: dict[str, Any]) -> dict[str, Any]:
        messages = body.get("messages")
        if isinstance(messages, list):
            body["messages"] = [one for index, one in enumerate(messages) if self._kept(index, one)]
        return body

    def _kept(self, index: int, message: Any) -> bool:
        """Whether a message stays; that of a developer only under another role."""
        if not isinstance(message, dict) or message.get("role") != "developer":
            return True
        place = f"messages[{index}]"
        if self.options.to == "drop":
            self.ctx.note(self.name, "dropped", place)
            return False
        message["role"] = self.options.to
        self.ctx.note(self.name, f"role_{self.options.to}", f"{place}.role", f"{place}.role")
        return True
