"""Requests: content parts (protocols.md 2.2)."""

from __future__ import annotations

from .cells import Case, NotHere, Refused, Row, row
from .matching import Like, OneOf
from .words import (
    CAT,
    GO,
    HI,
    PDF,
    PNG,
    WAV,
    a_base64,
    a_document,
    a_image,
    a_pdf,
    a_redacted,
    a_thinking,
    assistant,
    c_file,
    c_image,
    says,
    text,
    user,
)

PARTS: tuple[Row, ...] = (
    row(
        "2.2",
        "Text",
        [
            Case(says(user(text("One."), text("Two."))), says(user(text("One."), text("Two.")))),
            Case(says(user("\u4f60\u597d \U0001f680\u2028")), says(user("\u4f60\u597d \U0001f680\u2028"))),
        ],
        [
            Case(says(user(text("One."), text("Two."))), says(user(text("One."), text("Two.")))),
            Case(says(user("\u4f60\u597d \U0001f680\u2028")), says(user("\u4f60\u597d \U0001f680\u2028"))),
        ],
    ),
    row(
        "2.2",
        "Image URL",
        Case(says(user(text("See"), c_image(CAT))), says(user(text("See"), a_image(type="url", url=CAT)))),
        Case(says(user(text("See"), a_image(type="url", url=CAT))), says(user(text("See"), c_image(CAT)))),
        pitfalls="C138",
    ),
    row(
        "2.2",
        "Image base64",
        [
            Case(says(user(c_image(f"data:image/png;base64,{PNG}"))), says(user(a_base64()))),
            Case(
                says(user(c_image(f"data:image/jpg;base64,{PNG}"))), says(user(a_base64(media_type="image/jpeg")))
            ),
            Case(
                says(user(c_image(f"data:;base64,{PNG}"))),
                says(user(a_base64())),
                own=says(user(c_image(f"data:image/png;base64,{PNG}"))),
            ),
            Refused(says(user(c_image(f"data:image/tiff;base64,{PNG}"))), "messages[0].content[0]"),
        ],
        [
            Case(says(user(a_base64())), says(user(c_image(f"data:image/png;base64,{PNG}")))),
            Case(
                says(user(a_base64(media_type="image/webp"))), says(user(c_image(f"data:image/webp;base64,{PNG}")))
            ),
        ], pitfalls="C138 C139",
    ),
    row(
        "2.2",
        "Image file id",
        NotHere("Chat has no ids of images"),
        Refused(says(user(text("See"), a_image(type="file", file_id="file_1"))), "messages[0].content[1]"),
        pitfalls="C144",
    ),
    row(
        "2.2",
        "Image detail / resolution",
        [
            Case(says(user(c_image(CAT, detail="low"))), says(user(a_image(type="url", url=CAT))), ("image.detail",)),
            Case(says(user(c_image(CAT, detail="high"))), says(user(a_image(type="url", url=CAT))), ("image.detail",)),
        ],
        Case(
            says(user({**a_image(type="url", url=CAT), "transformations": {"oversized_image": "error"}})),
            says(user(c_image(CAT))),
            ("image.detail|field.foreign",),
        ), pitfalls="C149=image.detail",
    ),
    row(
        "2.2",
        "PDF/file base64",
        [
            Case(
                says(user(c_file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"))),
                says(user(a_pdf(title="a.pdf"))),
            ),
            Case(
                says(user(c_file(file_data=PDF, filename="a.pdf"))),
                says(user(a_pdf(title="a.pdf"))),
                own=says(user(c_file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"))),
            ),
            Refused(says(user(c_file(file_id="file-1"))), "messages[0].content[0]"),
            Refused(
                says(user(c_file(file_data=f"data:application/zip;base64,{PDF}", filename="a.zip"))),
                "messages[0].content[0]",
            ),
        ],
        [
            Case(
                says(user(a_pdf(title="a.pdf"))),
                says(user(c_file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"))),
            ),
            Case(
                says(user(a_pdf())),
                says(user(c_file(file_data=f"data:application/pdf;base64,{PDF}", filename="document.pdf"))),
            ),
            Case(
                says(user(a_pdf(title="a.pdf", context="From the archive."))),
                says(
                    user(
                        text("From the archive."),
                        c_file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"),
                    )
                ),
                ("document.context",),
            ),
            Refused(says(user(a_document({"type": "file", "file_id": "file_1"}))), "messages[0].content[0]"),
        ], pitfalls="P-120 C141 C142@c_a C144",
    ),
    row(
        "2.2",
        "File URL",
        NotHere("Chat has no URLs of files"),
        Refused(  # it would have to be fetched and inlined, which a codec cannot
            says(user(a_document({"type": "url", "url": "https://doc.example/a.pdf"}))), "messages[0].content[0]"
        ), pitfalls="C141",
    ),
    row(
        "2.2",
        "Text document",
        NotHere("Chat writes texts as texts"),
        [
            Case(
                says(user(a_document({"type": "text", "media_type": "text/plain", "data": "Body."}, title="Notes"))),
                says(user(Like(r"Notes.*Body\."))),
                ("document.*",),
            ),
            Case(
                says(user(a_document({"type": "content", "content": [text("One."), text("Two.")]}, title="Notes"))),
                OneOf(
                    says(user(Like(r"Notes.*One\..*Two\."))), says(user(text("Notes"), text("One."), text("Two.")))
                ),
                ("document.*",),
            ),
        ], pitfalls="C141 C143@a_c",
    ),
    row(
        "2.2",
        "search_result block",
        NotHere("Chat has no search results"),
        Case(
            says(
                user(
                    {
                        "type": "search_result",
                        "source": "https://src.example",
                        "title": "A find",
                        "content": [text("The words.")],
                    },
                    text("Why?"),
                )
            ),
            says(user(text(Like(r"A find.*https://src\.example.*The words\.")), text("Why?"))),
            ("search_result.citations",),
        ),
    ),
    row(
        "2.2",
        "Audio in",
        Refused(
            says(user({"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}})), "messages[0].content[0]"
        ),
        NotHere("Messages has no audio"),
    ),
    row(
        "2.2",
        "Video in",
        Refused(
            says(user({"type": "video_url", "video_url": {"url": "https://film.example/a.mp4"}})),
            "messages[0].content[0]",
        ),
        NotHere("Messages has no video"), pitfalls="C148",
    ),
    row(
        "2.2",
        "Refusal in history",
        [
            Case(
                says(HI, assistant({"type": "refusal", "refusal": "I must not."}), GO),
                says(HI, assistant("I must not."), GO),
                own=says(HI, assistant(refusal="I must not."), GO),
            ),
            Case(says(HI, assistant(refusal="I must not."), GO), says(HI, assistant("I must not."), GO)),
        ],
        NotHere("a refusal of Messages has no words in its history"),
    ),
    row(
        "2.2",
        "Reasoning in history",
        Case(
            says(HI, assistant("Hello.", reasoning_content="A greeting."), GO),
            says(HI, assistant("Hello."), GO),
            ("reasoning.history",),
        ),
        [
            Case(
                says(HI, assistant(a_thinking("A greeting."), a_redacted(block=1), text("Hello.")), GO),
                says(HI, wire, GO),
                (lost,),
                dialect={"reasoning_history": dialect},
            )
            for dialect, wire, lost in (
                ("drop", assistant("Hello."), "reasoning.history"),
                ("reasoning_content", assistant("Hello.", reasoning_content="A greeting."), "reasoning.state"),
            )
        ],
    ),
    row(
        "2.2",
        "Cache breakpoint",
        [
            Case(
                says(user(text("Hi", prompt_cache_breakpoint={"mode": "explicit", **openai}))),
                says(user(text("Hi", cache_control={"type": "ephemeral", **claude}))),
            )
            for openai, claude in (({}, {}), ({"ttl": "30m"}, {}), ({"ttl": "12h"}, {"ttl": "1h"}))
        ]
        + [
            Case(
                says(user(text("Hi", cache_control={"type": "ephemeral", "ttl": ttl}))),
                says(user(text("Hi", cache_control={"type": "ephemeral", "ttl": ttl}))),
            )
            for ttl in ("5m", "1h")
        ],
        [
            Case(says(user(text("Hi", cache_control={"type": "ephemeral", "ttl": "1h"}))), says(user("Hi"))),
            Case(
                says(user(text("Hi", cache_control={"type": "ephemeral", "ttl": "1h"}))),
                says(user(text("Hi", prompt_cache_breakpoint={"mode": "explicit"}))),
                dialect={"cache": "breakpoint"},
            ),
        ], pitfalls="C205",
    ),
    row(
        "2.2",
        "Citations config",
        NotHere("Chat has no switch for citations"),
        Case(
            says(user(a_pdf(title="a.pdf", citations={"enabled": True}))),
            says(user(c_file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"))),
            ("citations.config",),
        ),
    ),
    row(
        "2.2",
        "Unknown part type",
        [
            Refused(says(user({"type": "hologram", "x": 1})), "messages[0].content[0]"),
            Refused(says(user(text("Hi"), {"type": "hologram", "x": 1})), "messages[0].content[1]"),
            Refused(says(HI, assistant(text("Hello."), {"type": "hologram", "x": 1}), GO), "messages[1].content[1]"),
            Case(
                says(user(text("Hi"), {"type": "hologram", "text": "A cat."})),
                says(user(text("Hi"), text("A cat."))),
                ("part.foreign",),
            ),
        ],
        [
            Refused(says(user({"type": "hologram", "x": 1})), "messages[0].content[0]"),
            Refused(says(user(text("Hi"), {"type": "hologram", "x": 1})), "messages[0].content[1]"),
            Refused(says(HI, assistant(text("Hello."), {"type": "hologram", "x": 1}), GO), "messages[1].content[1]"),
        ], pitfalls="C151",
    ),
)
