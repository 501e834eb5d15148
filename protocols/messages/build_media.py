"""Images and documents as ``source`` of a block.  Source: protocols.md 2.2; conversion-pitfalls.md 3.12.

What came from another protocol is brought into the few forms that are taken, or refused: content is never left out.
"""

from __future__ import annotations

import base64
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from rotator.api import Media, Path

from .._reading import refuse
from .vocabulary import IMAGE_TYPES

#: How files begin -> their type.  Source: the formats' own specifications.
MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
PDF: Final = "application/pdf"
PLAIN: Final = "text/plain"


def own_source(part: Media) -> dict[str, Any]:
    """The source as a Messages client wrote it; ``parts`` are left to the caller."""
    form, value, _ = part.source
    if form == "url":
        return {"type": "url", "url": value}
    if form == "file_id":
        return {"type": "file", "file_id": value}
    named = {"media_type": part.media_type} if part.media_type else {}
    return {"type": form, **named, "data": value}


def image_source(part: Media) -> dict[str, Any]:
    """An image of another protocol's client: base64 of the four types, or an http URL."""
    form, value, _ = part.source
    if form == "url" and not _is_data(value):
        return _url(part)
    if form == "file_id":
        refuse(part.at, "a file id is known to its own vendor only")
    if form not in ("base64", "url"):
        refuse(part.at, "an image must be base64 or a URL")
    found, data = inline(value, part.media_type, part.at)
    if found == "image/jpg":
        found = "image/jpeg"
    if found not in IMAGE_TYPES:
        refuse(part.at, f"the type of an image must be jpeg, png, gif or webp, not {found or 'unknown'}")
    return {"type": "base64", "media_type": found, "data": data}


def document_source(part: Media) -> dict[str, Any]:
    """A document of another protocol's client: PDF as base64 or URL, or plain text; ``parts`` are the caller's."""
    form, value, _ = part.source
    if form == "file_id":
        refuse(part.at, "a file id is known to its own vendor only")
    if form == "text":
        found, text = part.media_type or PLAIN, value
    elif form == "url" and not _is_data(value):
        if _plain_type(part.media_type) not in ("", PDF):
            refuse(part.at, f"a document behind a URL must be a PDF, not {part.media_type}")
        return _url(part)
    else:
        found, data = inline(value, part.media_type, part.at)
        if found == PDF:
            return {"type": "base64", "media_type": PDF, "data": data}
        text = _decoded_text(data, part.at) if found.startswith("text/") else ""
    if not _plain_type(found).startswith("text/"):
        refuse(part.at, f"a document must be a PDF or text, not {found or 'unknown'}")
    return {"type": "text", "media_type": PLAIN, "data": text}


def inline(value: str, media_type: str, at: Path) -> tuple[str, str]:
    """Type and base64 of what a client put into the request: base64 of either alphabet, or a data URL.

    A type that nobody named is found by the first bytes; "" where they say nothing.
    """
    if _is_data(value):
        head, comma, data = value[5:].partition(",")
        if not comma:
            refuse(at, "is no data URL")
        named, *parameters = head.split(";")
        media_type = _plain_type(named) or media_type
        plain = unquote_to_bytes(data)
        value = plain.decode("latin-1") if "base64" in parameters else base64.b64encode(plain).decode()
    if "-" in value or "_" in value:
        value = value.replace("-", "+").replace("_", "/")
        value += "=" * (-len(value) % 4)
    return _plain_type(media_type) or _sniffed(value), value


def _url(part: Media) -> dict[str, Any]:
    if not part.source.value.lower().startswith(("http://", "https://")):
        refuse(part.at, "a URL must be http or https")
    return {"type": "url", "url": part.source.value}


def _is_data(value: str) -> bool:
    return value[:5].lower() == "data:"


def _plain_type(media_type: str) -> str:
    """Without parameters, in small letters."""
    return media_type.partition(";")[0].strip().lower()


def _sniffed(data: str) -> str:
    try:
        head = base64.b64decode(data[:16])
    except ValueError:
        return ""
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "image/webp"
    return next((media_type for magic, media_type in MAGIC if head.startswith(magic)), "")


def _decoded_text(data: str, at: Path) -> str:
    try:
        return base64.b64decode(data).decode()
    except ValueError:  # no base64, no UTF-8, or no ASCII
        refuse(at, "is no base64 of UTF-8 text")
