"""Log lines without secrets: an exception of a plug-in or of a library may quote a key."""

from __future__ import annotations

import logging

from rotator.neutral.redact import Redactor

LOGGER = "rotator"


class SafeFormatter(logging.Formatter):
    """Formats a record, traceback included, and redacts secrets in the whole text.

    Those of the present generation and of the one before: its requests may still be under way.
    """

    redactor: Redactor | None = None
    previous: Redactor | None = None

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for redactor in (self.redactor, self.previous):
            text = text if redactor is None else redactor.text(text)
        return text


def redact_logs(redactor: Redactor) -> None:
    """From now on these secrets appear in no log line of ours."""
    for handler in logging.getLogger(LOGGER).handlers:
        if isinstance(handler.formatter, SafeFormatter):
            if handler.formatter.redactor is not redactor:
                handler.formatter.previous = handler.formatter.redactor
            handler.formatter.redactor = redactor
