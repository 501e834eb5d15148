"""Images, documents and sounds of other protocols' clients in a Chat message, and what has no place there."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from rotator.errors import Refused
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.parts import Media, Source, Text
from tests.protocols.chat.bodies import CAT, PDF, PNG, WAV, ChatDialect, asked, build, image, messages, said, text, user


def base64(data: str) -> Source:
    return Source("base64", data)


def file(data: str, name: str = "document.pdf") -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data, "filename": name}}


def sound(data: str, label: str) -> list[dict[str, Any]]:
    return [{"type": "input_audio", "input_audio": {"data": data, "format": label}}]


PLAIN = b64encode("Grüße".encode()).decode()
PARTS = Source("parts", parts=(Text("One"), Media("image", Source("url", CAT)), Text("Two")))
#: A medium, what is told of it, the codes of its losses.
TOLD: list[tuple[Media, Any, list[str]]] = [
    (Media("image", base64(PNG), "image/png"), [image(f"data:image/png;base64,{PNG}")], []),
    (Media("image", base64(PNG)), [image(f"data:image/png;base64,{PNG}")], []),
    (Media("image", Source("url", CAT), detail="original"), [image(detail="original")], []),
    (Media("image", Source("url", CAT), detail="medium"), [image()], ["image.detail"]),
    (Media("document", base64(PDF), "application/pdf"), [file(f"data:application/pdf;base64,{PDF}")], []),
    (Media("document", base64(PDF), "application/pdf", "Report"),
     [file(f"data:application/pdf;base64,{PDF}", "Report")], []),
    (Media("document", base64(PDF)), [file(f"data:application/pdf;base64,{PDF}")], []),
    (Media("document", Source("text", "Words."), "text/plain"), "Words.", []),
    (Media("document", Source("text", "Words."), "text/plain", "Title"), "Title\n\nWords.", ["document.title"]),
    (Media("document", base64(PLAIN), "text/markdown", "a.md"), "a.md\n\nGrüße", ["document.title"]),
    (Media("document", PARTS), [text("One"), image(), text("Two")], []),
    (Media("document", PARTS, name="Title"), [text("Title"), text("One"), image(), text("Two")], ["document.title"]),
    (Media("document", Source("text", "Words."), rest={"context": "From 1999.", "citations": {"enabled": False}}),
     "From 1999.\n\nWords.", ["document.context"]),
    (Media("document", base64(PDF), "application/pdf", "R", rest={"context": "Old.", "citations": {"enabled": True}}),
     [text("Old."), file(f"data:application/pdf;base64,{PDF}", "R")], ["document.context", "citations.config"]),
    (Media("document", PARTS, name="Title", rest={"context": "Old.", "x": 1}),
     [text("Title\n\nOld."), text("One"), image(), text("Two")],
     ["document.context", "field.foreign", "document.title"]),
    (Media("audio", base64(WAV), "audio/wav"), sound(WAV, "wav"), []),
    (Media("audio", base64(WAV), "audio/x-wav"), sound(WAV, "wav"), []),
    (Media("audio", base64("SUQz"), "audio/mpeg"), sound("SUQz", "mp3"), []),
    (Media("audio", base64("SUQz"), "audio/ogg"), sound("SUQz", "ogg"), []),
]


@pytest.mark.pitfall("C145")
@pytest.mark.parametrize(("part", "content", "codes"), TOLD)
def test_a_medium(part: Media, content: Any, codes: list[str]) -> None:
    assert messages(said("user", part)) == ([user(content)], codes)


REFUSED = [
    (Media("image", Source("file_id", "f")), "points to what only its own vendor keeps"),
    (Media("image", base64("AAAA")), "must name the media type of the image"),
    (Media("document", Source("file_id", "f")), "points to what only its own vendor keeps"),
    (Media("document", Source("url", "https://d.example/a.pdf")), "Chat Completions takes no documents by URL"),
    (Media("document", base64("AAAA")), "must name the media type of the document"),
    (Media("document", base64("/w=="), "text/plain"), "is no base64 of UTF-8 text"),
    (Media("document", base64("A"), "text/plain"), "is no base64 of UTF-8 text"),
    (Media("audio", Source("url", "https://d.example/a.wav"), "audio/wav"),
     "Chat Completions takes sounds as base64 only"),
    (Media("audio", base64(WAV)), "must name the type of the sound"),
    (Media("video", base64("AAAA"), "video/mp4"), "Chat Completions takes no video"),
]


@pytest.mark.pitfall("C144", "C145")
@pytest.mark.parametrize(("part", "reason"), REFUSED)
def test_a_medium_that_has_no_place(part: Media, reason: str) -> None:
    found = Media(part.kind, part.source, part.media_type, at=("messages", 0, "content", 1))
    with pytest.raises(Refused) as refused:
        messages(said("user", "Hi", found))
    error = refused.value.error
    assert (error.status, error.param) == (400, "messages[0].content[1]")
    assert error.message == f"messages[0].content[1]: {reason}"


def test_losses_have_the_place_of_the_medium() -> None:
    ledger = Ledger()
    at = ("messages", 0, "content", 0)
    part = Media("document", Source("text", "W"), name="T", at=at, rest={"context": "C", "citations": {}, "x": 1})
    build(asked(said("user", part)), ChatDialect(), ledger)
    assert ledger.losses == [
        Loss("document.context", "messages[0].content[0]"),
        Loss("citations.config", "messages[0].content[0]"),
        Loss("field.foreign", "messages[0].content[0].x"),
        Loss("document.title", "messages[0].content[0]"),
    ]
