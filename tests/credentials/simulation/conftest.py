"""One proxy for each module (see ``tests.upstreams``)."""

from tests.upstreams import dwelling, house

__all__ = ["dwelling", "house"]
