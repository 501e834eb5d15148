"""``POST /v1/explain``: which key the next request would get, and why none of the others; nothing is changed by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from rotator.config.reader import At, parse, setting
from rotator.config.suggest import unknown
from rotator.contracts import Caller, Needs, ProtocolAdapter, Target
from rotator.credentials.sessions import SESSION_HEADER, identify
from rotator.errors import ConfigError, Refused
from rotator.exchange.trip import pinned
from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.redact import Redactor
from rotator.server.admit import header_map
from rotator.server.bodies import parse_object, read_body
from rotator.server.core import Core
from rotator.server.exchange import GONE, SHOWN_CHARACTERS
from rotator.server.hangup import ClientGone
from rotator.server.pages import Pages, document_of
from rotator.world import World

PATH: Final = "/v1/explain"


@dataclass(frozen=True, slots=True)
class Question:
    """The body: a model as clients name it, the client's protocol (default: Chat), a session's id, a key's label."""

    model: str = setting()
    protocol: str | None = setting(None)
    session: str | None = setting(None)
    pin: str | None = setting(None)


class Explain:
    """The endpoint over one core.  Answers ``{target, chosen, why, candidates, keys, waiting}``.

    The first four are the decision (``Decision.as_json``), ``keys`` what is counted of each key
    (``rotator.credentials.describe``), ``waiting`` how many requests wait.
    """

    def __init__(self, core: Core, pages: Pages) -> None:
        self.core = core
        self.pages = pages

    async def explain(self, request: Request) -> Response:
        core = self.core
        record = core.new_record(request.scope)
        try:
            headers = header_map(request.scope["headers"])
            caller = core.admit(request.scope, headers, request.scope["query_string"].decode("latin-1"))
            record.client = caller.label
            limit, seconds = core.world.limits.request_body_bytes, core.world.timeouts.body_seconds
            body = parse_object(await read_body(request.receive, headers, limit, seconds))
            question = _question(body)
            record.model = question.model[:SHOWN_CHARACTERS]
            answer = self._answered(core.world, question, caller)
            record.status = 200
            return document_of(_redacted(answer, core.world.redactor))
        except Refused as refused:
            return await self.pages.refusal(request, refused.error, record)
        except ClientGone:
            record.status, record.note = GONE, "client gone"
            return Response(status_code=GONE)
        finally:
            core.finished(record)

    def _answered(self, world: World, question: Question, caller: Caller) -> dict[str, Any]:
        name = world.loaded.registry.fallback.name if question.protocol is None else question.protocol
        if name not in world.protocols:
            raise _bad("protocol", unknown(f"protocol {name!r}", name, world.protocols))
        answer: dict[str, Any] = {}
        pool = self.core.pool
        for target in self._targets(world, question.model, world.protocols[name]):
            needs = Needs(self._session(world, target, question, caller), pinned(world, target, question.pin, "pin"))
            decision = pool.explain(target, needs)
            answer = {
                "target": f"{target.provider}:{target.profile}/{target.model}",
                **decision.as_json(),
                "keys": pool.describe(target),
                "waiting": pool.waiting(target.provider),
            }
            if decision.chosen is not None:
                break
        return answer

    @staticmethod
    def _targets(world: World, model: str, protocol: ProtocolAdapter) -> list[Target]:
        """Those that a request would come to: of the ones that can be planned, as many as it may try.

        No vendor is asked for its models: a bare name that only such a list holds is unknown until one was.
        """
        found: list[Target] = []
        refused: Refused | None = None
        for target in world.router.resolve(model, protocol.name):
            try:
                world.plan("generate", protocol, target)
                found.append(target)
            except Refused as unfit:
                refused = refused or unfit
        if refused is not None and not found:
            raise refused
        return found[: world.retry.max_targets]

    @staticmethod
    def _session(world: World, target: Target, question: Question, caller: Caller) -> str | None:
        """As a request with this id in ``x-rotator-session`` would have it."""
        if question.session is None or len(world.credentials.get(target.provider, ())) < 2:
            return None
        return identify(caller, {SESSION_HEADER: question.session}, tuple, ())


def _redacted(answer: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Details hold words of vendors and plug-ins."""
    for candidate in answer.get("candidates", ()):
        for reason in candidate["reasons"]:
            reason["detail"] = redactor.text(reason["detail"])
    return answer


def _question(body: Mapping[str, Any]) -> Question:
    try:
        found = parse(Question, body, At("body"))
    except ConfigError as error:
        problem = error.problems[0]
        raise _bad(problem.key or "body", problem.reason) from None
    assert isinstance(found, Question)
    return found


def _bad(field: str, reason: str) -> Refused:
    return Refused(error_of(ErrorKind.BAD_REQUEST, f"{field}: {reason}", param=field, should_retry=False))
