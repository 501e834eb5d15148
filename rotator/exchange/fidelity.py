"""``x-rotator-fidelity: faithful``: what a conversion would lose is refused before anybody is asked (design.md 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rotator.errors import Refused
from rotator.exchange.stages import Unfit
from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.losses import Ledger

FIDELITY_HEADER: Final = "x-rotator-fidelity"
#: Losses that the error names; it counts the others.
LOSSES_TOLD: Final = 5


def wants_faithful(headers: Mapping[str, str]) -> bool:
    """Whether the client refuses losses.  Raises Refused for another word than ``faithful``."""
    wanted = headers.get(FIDELITY_HEADER)
    if wanted not in (None, "faithful"):
        message = f"{FIDELITY_HEADER}: expected faithful, found {wanted[:40]!r}"
        raise Refused(error_of(ErrorKind.BAD_REQUEST, message, param=FIDELITY_HEADER, should_retry=False))
    return wanted is not None


def check_faithful(ledger: Ledger, upstream: str) -> None:
    """Refuse a request of which something was lost on its way to an upstream's protocol.

    The error's ``param`` is the first path. Raises Unfit: another target may be told all of it.
    """
    if not ledger.losses:
        return
    told = [" ".join(filter(None, (loss.path, f"({loss.code})", loss.detail))) for loss in ledger.losses[:LOSSES_TOLD]]
    more = len(ledger.losses) + ledger.beyond - len(told)
    message = f"{FIDELITY_HEADER}: {upstream} cannot be told all of this request: {'; '.join(told)}"
    message += f"; and {more} more" if more else ""
    param = ledger.losses[0].path or None
    raise Unfit(error_of(ErrorKind.BAD_REQUEST, message, code="lossy_conversion", param=param, should_retry=False))
