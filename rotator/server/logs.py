"""Log lines without secrets: an exception of a plug-in or of a library may quote a key."""

from __future__ import annotations

import logging

from rotator.neutral.redact import Redactor

LOGGER = "rotator"


class SafeFormatter(logging.Formatter):
    """Formats a record, traceback included, and redacts the secrets of the present generation in the whole text."""

    redactor: Redactor | None = None

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if self.redactor is None else self.redactor.text(text)


def redact_logs(redactor: Redactor) -> None:
    """From now on these secrets appear in no log line of ours."""
    for handler in logging.getLogger(LOGGER).handlers:
        if isinstance(handler.formatter, SafeFormatter):
            handler.formatter.redactor = redactor
