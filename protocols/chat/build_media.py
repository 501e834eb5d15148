"""Images, documents, sounds and films as an upstream takes them.

Source: protocols.md 2.2; conversion-pitfalls.md 3.12. What came from another protocol is brought into the few forms
that Chat has, or refused: content is never left out.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from rotator.api import Ledger, Media

from .._reading import refuse
from .parse_parts import AUDIO_TYPES, sniffed

Wire = dict[str, Any]

#: How closely an image can be looked at.  Source: protocols.md 2.2, "Image URL".
DETAILS: Final = frozenset(("auto", "low", "high", "original"))
#: Media type -> ``input_audio.format``, where it is not what follows the slash.  Source: conversion-pitfalls.md P145.
AUDIO_LABELS: Final[Mapping[str, str]] = {
    **{media_type: label for label, media_type in AUDIO_TYPES.items()},
    "audio/mp3": "mp3",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
}
#: Of a document that came without a name.  Source: protocols.md 2.2, "PDF/file base64".
FILE_NAME: Final = "document.pdf"

_OF_A_VENDOR: Final = "points to what only its own vendor keeps"


def own_media(part: Media) -> Wire:
    """A medium as Chat's own client wrote it."""
    form, value, _ = part.source
    if part.kind == "document":
        bare = form == "base64" and not part.media_type
        file = {"file_id": value} if form == "file_id" else {"file_data": value if bare else _located(part)}
        return {"type": "file", "file": {**file, "filename": part.name} if part.name else file}
    if part.kind == "audio":
        sound = {"data": value}
        if part.media_type:
            sound["format"] = _audio_label(part.media_type)
        return {"type": "input_audio", "input_audio": sound}
    if part.kind == "video":
        return {"type": "video_url", "video_url": {"url": _located(part)}}
    image = {"url": _located(part)}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def foreign_media(part: Media, below: list[Wire], ledger: Ledger) -> list[Wire]:
    """A medium of another protocol's client.  ``below``: the content of a document that is made of parts."""
    if part.kind == "document":
        return _document(part, below, ledger)
    if part.kind == "image":
        wire = _image(part, ledger)
    elif part.kind == "audio":
        wire = _audio(part)
    else:
        refuse(part.at, "Chat Completions takes no video")
    if part.rest:
        ledger.lose_rest(part.rest, part.at)
    return [wire]


def _image(part: Media, ledger: Ledger) -> Wire:
    form = part.source.form
    if form not in ("url", "base64"):
        refuse(part.at, _OF_A_VENDOR)
    image = {"url": part.source.value if form == "url" else _data_url(part)}
    if part.detail in DETAILS:
        image["detail"] = part.detail
    elif part.detail is not None:
        ledger.lose("image.detail", part.at)
    return {"type": "image_url", "image_url": image}


def _audio(part: Media) -> Wire:
    if part.source.form != "base64":
        refuse(part.at, "Chat Completions takes sounds as base64 only")
    if not part.media_type:
        refuse(part.at, "must name the type of the sound")
    return {"type": "input_audio", "input_audio": {"data": part.source.value, "format": _audio_label(part.media_type)}}


def _document(part: Media, below: list[Wire], ledger: Ledger) -> list[Wire]:
    """A file, or its words behind a heading.  Source: protocols.md 2.2, "PDF/file base64", "Text document"."""
    form, value, _ = part.source
    context = _beside_document(part, ledger)
    worded = form in ("text", "parts") or part.media_type.startswith("text/")
    if worded and part.name:
        ledger.lose("document.title", part.at)
    heading = "\n\n".join(filter(None, (part.name if worded else "", context)))
    before = [_text(heading)] if heading else []
    match form:
        case "parts":
            return before + below
        case "text":
            return [_text(f"{heading}\n\n{value}" if heading else value)]
        case "base64" if worded:
            words = _decoded(part)
            return [_text(f"{heading}\n\n{words}" if heading else words)]
        case "base64":
            file = {"file_data": _data_url(part), "filename": part.name or FILE_NAME}
            return [*before, {"type": "file", "file": file}]
        case "url":
            refuse(part.at, "Chat Completions takes no documents by URL")
    refuse(part.at, _OF_A_VENDOR)


def _beside_document(part: Media, ledger: Ledger) -> str:
    """What a Messages client says beside a document for the model to read; the rest of it is lost."""
    context = part.rest.get("context")
    for name, value in part.rest.items():
        if name == "context" and isinstance(value, str):
            ledger.lose("document.context", part.at)
        elif name != "citations":
            ledger.lose_rest({name: value}, part.at)
        elif value != {"enabled": False}:
            ledger.lose("citations.config", part.at)
    return context if isinstance(context, str) else ""


def _text(words: str) -> Wire:
    return {"type": "text", "text": words}


def _decoded(part: Media) -> str:
    try:
        return b64decode(part.source.value).decode()
    except ValueError:  # no base64, no UTF-8, or no ASCII
        refuse(part.at, "is no base64 of UTF-8 text")


def _data_url(part: Media) -> str:
    media_type = part.media_type or sniffed(part.source.value)
    if not media_type:
        refuse(part.at, f"must name the media type of the {part.kind}")
    return f"data:{media_type};base64,{part.source.value}"


def _located(part: Media) -> str:
    """A URL, or a data URL; one without a type came so."""
    if part.source.form == "base64":
        return f"data:{part.media_type};base64,{part.source.value}"
    return part.source.value


def _audio_label(media_type: str) -> str:
    return AUDIO_LABELS.get(media_type) or media_type.removeprefix("audio/")
