"""What the official SDKs make of a client's stream: the whole answer that their users get at its end."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2 as httpx
import openai

from .words import ASKED, LEAST, Body


def folded(protocol: str, body: bytes) -> Body:
    """The answer that these bytes are, put together by the protocol's own SDK.  Raises what that raises."""

    def told(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    with httpx.Client(transport=httpx.MockTransport(told)) as wire:
        asked: Any = {**LEAST[protocol], "model": ASKED}
        if protocol == "chat":
            with openai.OpenAI(api_key="none", http_client=wire, max_retries=0).chat.completions.stream(
                **asked
            ) as chunks:
                chunks.until_done()  # the final completion of a refusal or of a limit would be an exception
                return chunks.current_completion_snapshot.to_dict(mode="json")
        with anthropic.Anthropic(api_key="none", http_client=wire, max_retries=0).messages.stream(**asked) as events:
            return events.get_final_message().to_dict(mode="json")
