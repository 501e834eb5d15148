"""The fake vendor: a strict Chat Completions and Messages upstream on a loopback port, for the demo and for tests.

It knows nothing of the rest of the project: what it accepts and how it answers comes from the vendors' side alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import orjson

from . import checks_chat, checks_messages, render_chat, render_messages
from .calls import Call, Fault, Minted, Operation
from .envelopes import Page, common_headers, error_page, models_page
from .frames import dump
from .listener import Listener
from .models import MODELS, answer
from .playing import HungUp, Performance, Receive, Send, perform, read_body, run_until_hung_up, until_hung_up
from .scripts import Gate, Play, Raw, Reply, Scripts, Seen, Step
from .shapes import first_fault

__all__ = ["Engine", "Gate", "Play", "Raw", "Reply", "Seen", "Step"]

BODY_LIMIT_BYTES = 32 * 1024 * 1024
"""protocols.md 6.4.1"""
REMEMBERED_REQUESTS = 1000
POSTS: dict[str, Operation] = {
    "/v1/chat/completions": "chat",
    "/v1/messages": "messages",
    "/v1/messages/count_tokens": "count_tokens",
}
CHECKS = {
    "chat": checks_chat.CHECKS,
    "messages": checks_messages.CHECKS,
    "count_tokens": checks_messages.CHECKS,
}


class Engine:
    """One fake vendor: ASGI app and its own server on a loopback port.

    `keys` None accepts any key that is not empty. Equal requests in equal order get equal answers under an equal
    `seed` and `clock` (unix s). `pace_seconds` stands between the events of the model `slow`.
    """

    def __init__(
        self,
        *,
        keys: Collection[str] | None = None,
        seed: int = 0,
        pace_seconds: float = 0.25,
        hmac_secret: bytes = b"demo vendor",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = None if keys is None else frozenset(keys)
        self._seed = seed
        self._pace_seconds = pace_seconds
        self._secret = hmac_secret
        self._clock = clock
        self._listener = Listener(self._serve)
        self._model_scripts = Scripts()
        self._key_scripts = Scripts()
        self._flaky: dict[tuple[str, str], int] = {}
        self._arrived = asyncio.Event()
        self._count = 0
        self.requests: deque[Seen] = deque(maxlen=REMEMBERED_REQUESTS)

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT; RuntimeError while not started."""
        return f"http://127.0.0.1:{self._listener.port}"

    @property
    def chat_base(self) -> str:
        """What the Chat vendor documents as base."""
        return f"{self.url}/v1"

    @property
    def messages_base(self) -> str:
        """What the Messages vendor documents as base."""
        return self.url

    async def start(self) -> None:
        """Listen. After this `url` is known."""
        await self._listener.start()

    async def aclose(self) -> None:
        """Abort what is open; no task is left behind, also after a half start."""
        await self._listener.aclose()

    def script(self, model: str, *steps: Step) -> None:
        """What a model does in its next requests; the last step repeats, no step at all ends the script.

        A scripted model need not be a demo model. Keys and bodies are checked first, as always.
        """
        self._model_scripts.set(model, steps)

    def script_key(self, key: str, *steps: Step) -> None:
        """The same for one key, whatever the model; it goes before a model's script."""
        self._key_scripts.set(key, steps)

    async def arrived(self, count: int) -> None:
        """Wait until so many requests have come in since the start."""
        while self._count < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        seen = Seen(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        )
        seen.key = _key_of(seen)
        self.requests.append(seen)
        try:
            body = await read_body(receive, BODY_LIMIT_BYTES)
        except HungUp:
            return seen.end("peer_gone")
        seen.body = body or b""
        self._count += 1
        self._arrived.set()
        operation = _operation_of(seen)
        request_id = self._request_id(operation)
        show = self._answer(seen, operation, request_id, whole_body=body)
        if not show.exact:
            headers = common_headers(operation, request_id, used=self._count, now=self._clock())
            show = replace(show, headers={**headers, **show.headers})
        if not await run_until_hung_up(receive, perform(send, seen, show)):
            seen.end("peer_gone")
        elif show.end != "clean":
            seen.end("done")
            self._listener.break_connection(scope["client"], reset=show.end == "reset")
            await until_hung_up(receive)

    def _request_id(self, operation: Operation) -> str:
        return f"req_{self._mint(self._count).token}" if operation != "chat" else self._mint(self._count).token

    def _mint(self, number: int) -> Minted:
        token = hashlib.sha256(f"{self._seed}/{number}".encode()).hexdigest()[:24]
        return Minted(number, token, int(self._clock()))

    def _answer(self, seen: Seen, operation: Operation, request_id: str, *, whole_body: bytes | None) -> Performance:
        def refuse(status: int, fault: Fault | None = None) -> Performance:
            return _paged(error_page(operation, status, request_id, fault))

        if not seen.key or (self._keys is not None and seen.key not in self._keys):
            return refuse(401)
        if seen.method == "GET" and seen.path == "/v1/models":
            created = int(self._clock())
            return _paged(models_page(list(MODELS), created, anthropic=operation != "chat"))
        if seen.path not in POSTS:
            return refuse(404, Fault(f"Invalid URL ({seen.method} {seen.path})"))
        if seen.method != "POST":
            return refuse(405, Fault(f"Not allowed to {seen.method} on {seen.path}"))
        if whole_body is None:
            return refuse(413)
        try:
            value = orjson.loads(whole_body)
        except orjson.JSONDecodeError as error:
            return refuse(400, Fault(f"We could not parse the JSON body of your request: {error}"))
        headers = {name: seen.header(name) for name, _ in seen.headers}
        call = Call(operation, value, headers, seen.key, self._secret)
        fault = first_fault(call, CHECKS[operation])
        if fault is not None:
            return refuse(400, fault)
        return self._valid(call, request_id)

    def _valid(self, call: Call, request_id: str) -> Performance:
        model: str = call.body["model"]
        step = self._key_scripts.next(call.key) or self._model_scripts.next(model)
        if isinstance(step, Raw):
            head, gate, end = step.head, step.gate, step.end
            return Performance(step.status, step.headers, step.chunks, head, gate, end, exact=True)
        if isinstance(step, Reply):
            return self._reply(call, step, request_id)
        play = step or Play(model)
        if play.model not in MODELS:
            text = f"The model `{model}` does not exist or you do not have access to it."
            fault = Fault(text, None, "model_not_found") if call.operation == "chat" else Fault(f"model: {model}")
            return _paged(error_page(call.operation, 404, request_id, fault))
        if call.operation == "count_tokens":
            return _paged(Page(200, dump({"input_tokens": render_messages.input_tokens(call)})))
        failing = self._failing(call, play.model, request_id)
        return failing if failing is not None else self._play(call, play)

    def _reply(self, call: Call, step: Reply, request_id: str) -> Performance:
        if step.body is None:
            page = error_page(call.operation, step.status, request_id)
        else:
            body = step.body if isinstance(step.body, bytes) else dump(step.body)
            page = Page(step.status, body)
        show = _paged(replace(page, headers=dict(step.headers)))
        return replace(show, head=step.gate)

    def _failing(self, call: Call, model: str, request_id: str) -> Performance | None:
        """The models that do not answer, or not each time; a stream that breaks is a failure when not streamed."""
        if model == "error" or (model == "mid-error" and not call.body.get("stream")):
            return _paged(error_page(call.operation, 500 if call.operation == "chat" else 529, request_id))
        if model != "flaky":
            return None
        times = self._flaky[call.operation, model] = self._flaky.get((call.operation, model), 0) + 1
        if times % 2 == 0:
            return None
        limited = error_page(call.operation, 429, request_id)
        return _paged(replace(limited, headers={"retry-after": "1"}))

    def _play(self, call: Call, play: Play) -> Performance:
        render = render_chat if call.operation == "chat" else render_messages
        ask = render.read_ask(call)
        full = answer(play.model, ask)
        minted = self._mint(self._count)
        headers = {"content-type": "application/json"}
        if ask.stream:
            events = render.stream(call, ask, full, minted)
            headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        else:
            events = [render.whole(call, ask, full, minted)]
            if play.cut_after is None:
                headers["content-length"] = str(len(events[0]))
        pace = self._pace_seconds if full.paced else 0.0
        if play.model == "mid-error":  # in one read with its error, the beginning would never be shown
            pace = self._pace_seconds / 5
        if play.cut_after is not None:
            events = events[: play.cut_after]
        return Performance(200, headers, events, play.head, play.gate, play.end, pace)


def _paged(page: Page) -> Performance:
    headers = {"content-type": "application/json", "content-length": str(len(page.body)), **page.headers}
    return Performance(page.status, headers, [page.body])


def _operation_of(seen: Seen) -> Operation:
    """Whose envelope an answer wears; unknown paths go by the header that only the Messages vendor asks for."""
    fallback: Operation = "messages" if seen.header("anthropic-version") else "chat"
    return POSTS.get(seen.path, fallback)


def _key_of(seen: Seen) -> str:
    """The Messages vendor takes x-api-key before a bearer token, the Chat vendor a bearer token only (0.2, 1.3)."""
    scheme, _, token = seen.header("authorization").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return bearer if _operation_of(seen) == "chat" else seen.header("x-api-key") or bearer
