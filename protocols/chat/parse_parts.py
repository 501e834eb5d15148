"""The parts of a message's content as a client writes them.  Source: protocols.md 2.2, 2.8 (row "Chat")."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from rotator.api import CacheMark, Media, Opaque, Part, Path, Refusal, Source, Text

from .._reading import Fields, refuse
from .spelling import NAME, nested, read_mark, required_fields

#: ``input_audio.format`` -> media type, where it is not ``audio/<format>``.  Source: conversion-pitfalls.md P145.
AUDIO_TYPES: Final[Mapping[str, str]] = {"mp3": "audio/mpeg"}

#: How base64 text of a kind of file begins.  Source: protocols.md 2.2, "Image base64" (missing mime).
MAGIC: Final = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi0", "application/pdf"),
)


def parse_content(content: Any, at: Path) -> list[Part]:
    """``content``: a string, a list of parts, or null.  Empty texts are left out."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content, at=at)] if content else []
    if not isinstance(content, list):
        refuse(at, "must be a string or a list")
    found = (_part(part, (*at, place)) for place, part in enumerate(content))
    return [part for part in found if part is not None]


def sniffed(data: str) -> str:
    """The media type of base64 data by its first bytes, "" where they tell nothing."""
    return next((media_type for magic, media_type in MAGIC if data.startswith(magic)), "")


def _part(value: Any, at: Path) -> Part | None:
    fields = Fields(value, at)
    kind = fields.word("type")
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(fields, None if reader is _refusal else read_mark(value, fields))
    text = value.get("text")
    return Opaque(NAME, kind, value, text=text if isinstance(text, str) else "", at=at)


def _text(fields: Fields, mark: CacheMark | None) -> Text | None:
    text = fields.word("text")
    return Text(text, cache=mark, at=fields.at, rest=fields.rest()) if text else None


def _refusal(fields: Fields, mark: CacheMark | None) -> Refusal | None:
    text = fields.word("refusal")
    return Refusal(text, at=fields.at, rest=fields.rest()) if text else None


def _image(fields: Fields, mark: CacheMark | None) -> Media:
    """``image_url`` is an object with the URL, or the URL itself."""
    inner = _url(fields, "image_url")
    source, media_type = _located(inner, "url")
    detail = inner.text("detail")
    rest = nested(fields.rest(), image_url=inner.rest())
    return Media("image", source, media_type, detail=detail, cache=mark, at=fields.at, rest=rest)


def _video(fields: Fields, mark: CacheMark | None) -> Media:
    """No part of OpenAI's own; several compatible servers take it."""
    inner = _url(fields, "video_url")
    source, media_type = _located(inner, "url")
    rest = nested(fields.rest(), video_url=inner.rest())
    return Media("video", source, media_type, cache=mark, at=fields.at, rest=rest)


def _audio(fields: Fields, mark: CacheMark | None) -> Media:
    inner = required_fields(fields, "input_audio")
    source, media_type = _located(inner, "data", bare="base64")
    label = inner.text("format")
    if label:
        media_type = AUDIO_TYPES.get(label, f"audio/{label}")
    rest = nested(fields.rest(), input_audio=inner.rest())
    return Media("audio", source, media_type, cache=mark, at=fields.at, rest=rest)


def _file(fields: Fields, mark: CacheMark | None) -> Media:
    """``file_data`` may be a data URL or base64 by itself; ``file_id`` points to OpenAI's own store."""
    inner = required_fields(fields, "file")
    name = inner.text("filename") or ""
    if inner.has("file_data"):
        source, media_type = _located(inner, "file_data", bare="base64")
    elif inner.has("file_id"):
        source, media_type = Source("file_id", inner.word("file_id")), ""
    else:
        refuse(inner.at, "must hold file_data or file_id")
    rest = nested(fields.rest(), file=inner.rest())
    return Media("document", source, media_type, name, cache=mark, at=fields.at, rest=rest)


def _url(fields: Fields, name: str) -> Fields:
    """An object with a ``url``; a string is the URL."""
    value = fields.raw(name)
    if isinstance(value, str):
        return Fields({"url": value}, (*fields.at, name))
    if value is None:
        refuse((*fields.at, name), "is required")
    return Fields(value, (*fields.at, name))


def _located(fields: Fields, name: str, bare: str = "") -> tuple[Source, str]:
    """What a string points to or holds, and its media type, "" where it says none.

    It is a data URL, else a URL, else base64 where ``bare`` says that it may stand by itself.
    """
    value = fields.word(name)
    at = (*fields.at, name)
    if not value:
        refuse(at, "must not be empty")
    if value[:5].lower() == "data:":
        return _data_url(value, at)
    if bare and not value.startswith(("http://", "https://")):
        return Source("base64", value), sniffed(value)
    return Source("url", value), ""


def _data_url(value: str, at: Path) -> tuple[Source, str]:
    """``data:<type>[;parameters][;base64],<data>``; data that is no base64 becomes it (conversion-pitfalls.md P139)."""
    comma = value.find(",")
    if comma < 0:
        refuse(at, "is no data URL: it has no comma")
    media_type, *parameters = (word.strip().lower() for word in value[5:comma].split(";"))
    data = value[comma + 1 :]
    if "base64" not in parameters:
        data = b64encode(unquote_to_bytes(data)).decode()
    return Source("base64", data), media_type or sniffed(data)


_READERS: Final[Mapping[str, Callable[[Fields, CacheMark | None], Part | None]]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "video_url": _video,
}
