"""Rows of figures beside their baseline, as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from statistics import median
from typing import Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """``most`` for figures of cost, otherwise the value is the least that is wanted.

    ``of`` what ``Pairs`` compare with it: the ratio to the baseline, or the subject's figure itself.
    """

    value: float
    most: bool
    of: Literal["ratio", "figure"] = "ratio"

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
        return [
            self.label,
            show(median(self.baseline)),
            show(median(self.subject)),
            f"{self.ratio():.2f}",
            self.spread(),
            self.verdict(),
        ]

    def spread(self) -> str:
        ratios = self._ratios()
        return f"{min(ratios):.2f} .. {max(ratios):.2f}"

    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return self.goal.verdict(self.ratio() if self.goal.of == "ratio" else median(self.subject))

    def _ratios(self) -> list[float]:
        pairs = zip(self.baseline, self.subject, strict=True)
        return [subject / baseline if baseline else nan for baseline, subject in pairs]


def show_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def show_milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def render_pairs(title: str, names: Sequence[str], groups: Sequence[Sequence[Pairs]]) -> str:
    """One group per figure: the pairs of each subject with the baseline; ``names`` has the baseline first.

    One subject stands beside its baseline. Several stand below it, also compared with the first of them.
    """
    baseline, first, *more = names
    goals = {pair.goal.of for group in groups for pair in group if pair.goal}
    goal = f"goal ({' or '.join(sorted(goals))})"
    if not more:
        header = [title, baseline, first, f"{first}/{baseline}", "spread", goal]
        return render(header, [group[0].cells(show_number) for group in groups])
    rows = []
    for group in groups:
        rows.append([group[0].label, "", "", "", "", ""])
        rows.append([f"  {baseline}", show_number(median(group[0].baseline)), "", "", "", ""])
        for name, pair in zip(names[1:], group, strict=True):
            against = Pairs(pair.label, group[0].subject, pair.subject).ratio()
            to_first = "" if pair is group[0] else f"{against:.2f}"
            figure = show_number(median(pair.subject))
            rows.append([f"  {name}", figure, f"{pair.ratio():.2f}", pair.spread(), to_first, pair.verdict()])
    return render([title, "median", f"/{baseline}", "spread", f"/{first}", goal], rows)


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """First column to the left, the others to the right, the last one (words) to the left again."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        middle = [cell.rjust(width) for cell, width in zip(cells[1:-1], widths[1:-1], strict=True)]
        return "  ".join([cells[0].ljust(widths[0]), *middle, cells[-1]]).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])
