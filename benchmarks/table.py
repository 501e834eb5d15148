"""Rows of figures beside their baseline, as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Goal:
    """``most`` for figures of cost, otherwise the value is the least that is wanted."""

    value: float
    most: bool

    def verdict(self, measured: float) -> str:
        met = measured <= self.value if self.most else measured >= self.value
        return f"{'<=' if self.most else '>='} {self.value:g}  {'met' if met else 'MISSED'}"


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same figure of baseline and subject, one pair per repeat, taken right after each other."""

    label: str
    baseline: Sequence[float]
    subject: Sequence[float]
    goal: Goal | None = None

    def ratio(self) -> float:
        return median(self._ratios())

    def cells(self, show: Callable[[float], str]) -> list[str]:
        ratios = self._ratios()
        spread = f"{min(ratios):.2f} .. {max(ratios):.2f}"
        verdict = self.goal.verdict(self.ratio()) if self.goal else ""
        return [
            self.label,
            show(median(self.baseline)),
            show(median(self.subject)),
            f"{self.ratio():.2f}",
            spread,
            verdict,
        ]

    def _ratios(self) -> list[float]:
        return [subject / baseline for baseline, subject in zip(self.baseline, self.subject, strict=True)]


def show_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def show_milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """First column to the left, the others to the right, the last one (words) to the left again."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        middle = [cell.rjust(width) for cell, width in zip(cells[1:-1], widths[1:-1], strict=True)]
        return "  ".join([cells[0].ljust(widths[0]), *middle, cells[-1]]).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])
