"""Chunks as no vendor should send them: known members with any JSON under them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WORDS = st.sampled_from(["", "a", '{"q":', "1}", "{}", "stop", "length", "error", "eos", "tool_calls", "\ud83d"])
SCALARS = st.none() | st.booleans() | st.integers(-1, 2) | st.floats(allow_nan=False, width=16) | WORDS
NAMES = st.sampled_from(
    (
        "choices delta message index finish_reason logprobs content refusal token logprob bytes top_logprobs usage"
        " prompt_tokens completion_tokens error code id model created service_tier role reasoning_content reasoning"
        " reasoning_details type text signature data annotations url_citation url start_index end_index images"
        " image_url audio transcript tool_calls function name arguments custom input extra_content google"
        " thought_signature function_call odd"
    ).split()
)
JUNK: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


def some(**members: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of these members."""
    return st.fixed_dictionaries({}, optional={name: found | JUNK for name, found in members.items()})


SIGNED = st.just({"google": {"thought_signature": "c2ln"}})
CALLS = st.lists(
    some(
        index=st.sampled_from([0, 0, 1, 2, None]),
        id=st.sampled_from(["", "call_1", "call_2", None]),
        function=some(
            name=st.sampled_from(["", "one", "two", None]),
            arguments=st.sampled_from(["", '{"q":', "1}", "{}", None, {}, {"q": 1}]),
        ),
        custom=some(name=st.just("run"), input=WORDS),
        extra_content=SIGNED,
    ),
    max_size=3,
)
DETAILS = st.lists(
    some(type=st.just("reasoning.text"), index=st.integers(0, 1), text=WORDS, signature=WORDS),
    max_size=2,
)
LEANING = {"url": "https://a.example", "start_index": 0, "end_index": 1}
#: A delta of a stream, or the message of a whole answer.
SAID = some(
    role=st.just("assistant"),
    content=st.sampled_from(["", "Hi", None]),
    refusal=st.sampled_from(["", "No", None]),
    reasoning_content=st.sampled_from(["", "Hm", None]),
    reasoning=st.sampled_from(["", "Hm", None]),
    reasoning_details=DETAILS,
    annotations=st.just([{"type": "url_citation", "url_citation": LEANING}]),
    images=st.just([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]),
    audio=st.just({"id": "audio_1", "data": "AAAA"}),
    tool_calls=CALLS,
    function_call=st.just({"name": "one", "arguments": "{}"}),
    odd=JUNK,
)
FINISHES = st.sampled_from([None, None, None, "stop", "tool_calls", "error", ""])
TOKENS = st.just({"content": [{"token": "Hi", "logprob": -1}], "refusal": None})
USAGES = some(prompt_tokens=st.sampled_from([0, 3, 7, None]), completion_tokens=st.sampled_from([0, 2, None]))


@st.composite
def answers(draw: st.DrawFn, member: str) -> dict[str, Any]:
    """A chunk (``delta``) or a whole answer (``message``)."""
    choice = some(**{member: SAID}, index=st.integers(0, 1), finish_reason=FINISHES, logprobs=TOKENS)
    answer = some(
        choices=st.lists(choice, max_size=2),
        id=WORDS,
        model=WORDS,
        created=st.integers(0, 9),
        service_tier=WORDS,
        usage=USAGES,
        odd=JUNK,
    )
    return draw(answer)


@st.composite
def chunks(draw: st.DrawFn) -> dict[str, Any]:
    """A chunk; one in some has an error in it."""
    chunk: dict[str, Any] = draw(answers("delta"))
    return {**chunk, "error": draw(JUNK)} if draw(st.integers(0, 7)) == 7 else chunk
