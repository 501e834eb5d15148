"""Images and documents of other protocols' clients, for a Messages upstream."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rotator.errors import Refused
from rotator.neutral.parts import CacheMark, Media, Opaque, Path, Source, Text

from .bodies import CAT, PDF, PNG, asked, built, said, text

AT: Path = ("messages", 0, "content", 0)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def image(form: Any, value: str, media_type: str = "", **more: Any) -> Media:
    return Media("image", Source(form, value), media_type, at=AT, **more)


def document(form: Any, value: str, media_type: str = "", **more: Any) -> Media:
    return Media("document", Source(form, value), media_type, at=AT, **more)


def inline(kind: str, media_type: str, data: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": data}, **more}


def worded(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": words}, **more}


JPEG, GIF = encoded(b"\xff\xd8\xff\xe0" + b"0" * 20), encoded(b"GIF89a" + b"0" * 20)
WEBP = encoded(b"RIFF\x00\x00\x00\x00WEBPVP8 ")
PART = Media("image", Source("url", CAT))
URL = {"type": "image", "source": {"type": "url", "url": CAT}}
#: A medium, its block, and what is lost.
TAKEN: dict[str, tuple[Media, dict[str, Any], list[str]]] = {
    "png": (image("base64", PNG, "image/png"), inline("image", "image/png", PNG), []),
    "jpg": (image("base64", JPEG, "image/jpg"), inline("image", "image/jpeg", JPEG), []),
    "type-of-capitals": (image("base64", PNG, "IMAGE/PNG; q=1"), inline("image", "image/png", PNG), []),
    "png-untyped": (image("base64", PNG), inline("image", "image/png", PNG), []),
    "jpeg-untyped": (image("base64", JPEG), inline("image", "image/jpeg", JPEG), []),
    "gif-untyped": (image("base64", GIF), inline("image", "image/gif", GIF), []),
    "webp-untyped": (image("base64", WEBP), inline("image", "image/webp", WEBP), []),
    "url-safe": (image("base64", "iVBORw0KGgo_-_8", "image/png"), inline("image", "image/png", "iVBORw0KGgo/+/8="), []),
    "data-url": (image("url", f"data:image/png;base64,{PNG}"), inline("image", "image/png", PNG), []),
    "data-url-of-capitals": (image("url", f"DATA:image/PNG;x=1;base64,{PNG}"), inline("image", "image/png", PNG), []),
    "data-url-as-base64": (image("base64", f"data:;base64,{PNG}"), inline("image", "image/png", PNG), []),
    "data-url-escaped": (
        image("url", "data:image/png;base64,iVBORw%3D%3D"),
        inline("image", "image/png", "iVBORw=="),
        [],
    ),
    "data-url-of-bytes": (image("url", "data:image/gif,GIF%38"), inline("image", "image/gif", encoded(b"GIF8")), []),
    "url": (image("url", CAT), URL, []),
    "url-of-capitals": (
        image("url", "HTTP://a.example/1"),
        {**URL, "source": {"type": "url", "url": "HTTP://a.example/1"}},
        [],
    ),
    "detail": (image("url", CAT, detail="low"), URL, ["image.detail"]),
    "detail-auto": (image("url", CAT, detail="auto"), URL, []),
    "marked": (image("url", CAT, cache=CacheMark()), {**URL, "cache_control": {"type": "ephemeral"}}, []),
    "named": (image("url", CAT, name="cat.png"), URL, ["image.name"]),
    "rest": (image("url", CAT, rest={"fps": 1}), URL, ["field.foreign"]),
    "pdf": (
        document("base64", PDF, "application/pdf", name="a.pdf"),
        inline("document", "application/pdf", PDF, title="a.pdf"),
        [],
    ),
    "pdf-untyped": (document("base64", PDF), inline("document", "application/pdf", PDF), []),
    "pdf-data-url": (
        document("url", f"data:application/pdf;base64,{PDF}"),
        inline("document", "application/pdf", PDF),
        [],
    ),
    "pdf-url": (
        document("url", "https://d.example/a.pdf", "application/pdf"),
        {"type": "document", "source": {"type": "url", "url": "https://d.example/a.pdf"}},
        [],
    ),
    "text": (document("text", "Body."), worded("Body."), []),
    "text-typed": (document("text", "Body.", "text/plain; charset=utf-8", name="n"), worded("Body.", title="n"), []),
    "text-base64": (document("base64", encoded("Bödy.".encode()), "text/plain"), worded("Bödy."), []),
    "text-data-url": (document("url", "data:text/plain,B%C3%B6dy."), worded("Bödy."), []),
    "parts": (
        Media("document", Source("parts", parts=(Text("One."), PART, Opaque("chat", "x", {}, text="Two."))), name="n"),
        {"type": "document", "source": {"type": "content", "content": [text("One."), URL, text("Two.")]}, "title": "n"},
        ["part.foreign"],
    ),
}


@pytest.mark.pitfall("C139", "C143")
@pytest.mark.parametrize(("part", "block", "lost"), [pytest.param(*row, id=name) for name, row in TAKEN.items()])
def test_media(part: Media, block: dict[str, Any], lost: list[str]) -> None:
    made, codes = built(asked(said("user", part)))
    assert (made.body["messages"], codes) == ([{"role": "user", "content": [block]}], lost)


#: Media that Messages does not take, and a word of the reason.
REFUSED: dict[str, tuple[Media, str]] = {
    "tiff": (image("base64", PNG, "image/tiff"), "image/tiff"),
    "unknown": (image("base64", "AAAA"), "unknown"),
    "no-base64": (image("base64", "&&"), "unknown"),
    "image-is-a-pdf": (image("base64", PDF), "application/pdf"),
    "image-file": (image("file_id", "file-1"), "file id"),
    "image-text": (image("text", "words"), "base64 or a URL"),
    "image-gs": (image("url", "gs://bucket/cat.png"), "http or https"),
    "no-data-url": (image("url", "data:image/png"), "data URL"),
    "zip": (document("base64", PDF, "application/zip"), "application/zip"),
    "document-unknown": (document("base64", "AAAA"), "unknown"),
    "document-file": (document("file_id", "file-1"), "file id"),
    "document-url-of-words": (document("url", "https://d.example/a.docx", "application/msword"), "application/msword"),
    "text-of-bytes": (document("base64", encoded(b"\xff\xfe"), "text/plain"), "UTF-8"),
    "audio": (Media("audio", Source("base64", "AA"), "audio/wav", at=AT), "audio"),
    "video": (Media("video", Source("url", CAT), at=AT), "video"),
}


@pytest.mark.parametrize(("part", "reason"), [pytest.param(*row, id=name) for name, row in REFUSED.items()])
def test_media_that_is_not_taken_is_refused(part: Media, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        built(asked(said("user", "See", part)))
    error = refused.value.error
    assert (error.status, error.param) == (400, "messages[0].content[0]")
    assert reason in error.message
