"""What the environment says of rotation: names are taken apart, values are read.  Source: engine.md 12.4, design.md 6.

A name is a setting, mostly a provider, and perhaps more: ``MAX_CONCURRENT_REQUESTS_PER_KEY_<PROVIDER>_<MODE>``. The
longest setting that leaves a known provider counts, and of providers the longest: with ``open`` and ``open_ai``,
``QUOTA_GROUPS_OPEN_AI_PRO`` is the group ``pro`` of ``open_ai``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, get_args

from rotator.config.environment import Variable
from rotator.config.reader import At, Entry, entries, found, parse
from rotator.config.rotation import Cap, Rotation
from rotator.config.sections import KEY_FORM, variable
from rotator.config.suggest import edits, nearest, unknown
from rotator.credentials.discovery import token
from rotator.errors import ConfigError, Problem

_PROVIDER: Final = "<PROVIDER>"
_WHOLE: Final = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Form:
    """A setting's name as documentation writes it, and the key of ``rotation`` that it sets.

    For caps and what is kept by name, the key is that of the list or mapping. ``more`` is for the documentation.
    """

    form: str
    path: str
    more: str = ""
    alias: bool = False

    @property
    def doc(self) -> str:
        """A line for the documentation."""
        whose = "all providers" if self.is_global else "a provider"
        return f"`rotation.{self.path}` of {whose}. {self.more}".rstrip()

    @property
    def setting(self) -> str:
        """``ROTATION_MODE``."""
        return self.form.partition(f"_{_PROVIDER}")[0]

    @property
    def tail(self) -> str:
        """What may follow the provider."""
        return self.form.partition(_PROVIDER)[2]

    @property
    def is_global(self) -> bool:
        return _PROVIDER not in self.form


_MODE: Final = "[_<MODE>]"
_PRIORITY: Final = "_PRIORITY_<N>[_<MODE>]"
_GROUP: Final = "_<GROUP>"
_CAP: Final = "_T<TIER>_<MODEL_OR_GROUP>"
_ONE_MODE: Final = "With a mode behind it (`_BALANCED`), in that mode only."
CAPS: Final = "caps"
CAP_COOLDOWNS: Final = "caps[].cooldown"

FORMS: Final = (
    Form("ROTATION_MODE_<PROVIDER>", "mode"),
    Form("ROTATION_TOLERANCE", "tolerance"),
    Form("ROTATION_TOLERANCE_<PROVIDER>", "tolerance"),
    Form(f"MAX_CONCURRENT_REQUESTS_PER_KEY_<PROVIDER>{_MODE}", "max_concurrent", _ONE_MODE),
    Form(f"OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_<PROVIDER>{_MODE}", "optimal_concurrent", _ONE_MODE),
    Form(f"CONCURRENCY_MULTIPLIER_<PROVIDER>{_PRIORITY}", "concurrency_multipliers", f"For priority N. {_ONE_MODE}"),
    Form("SEQUENTIAL_FALLBACK_MULTIPLIER_<PROVIDER>", "sequential_fallback_multiplier"),
    Form(f"QUOTA_GROUPS_<PROVIDER>{_GROUP}", "quota_groups", "The models of one group, separated by commas."),
    Form("FAIR_CYCLE_<PROVIDER>", "fair_cycle.enabled"),
    Form("FAIR_CYCLE_ENABLED_<PROVIDER>", "fair_cycle.enabled", alias=True),
    Form("FAIR_CYCLE_TRACKING_MODE_<PROVIDER>", "fair_cycle.tracking"),
    Form("FAIR_CYCLE_CROSS_TIER_<PROVIDER>", "fair_cycle.cross_tier"),
    Form("FAIR_CYCLE_DURATION_<PROVIDER>", "fair_cycle.duration_seconds"),
    Form("FAIR_CYCLE_QUOTA_THRESHOLD_<PROVIDER>", "fair_cycle.quota_threshold"),
    Form("FAIR_CYCLE_RESET_COOLDOWN_THRESHOLD_<PROVIDER>", "fair_cycle.reset_cooldown_seconds"),
    Form("EXHAUSTION_COOLDOWN_THRESHOLD", "exhaustion_cooldown_seconds"),
    Form("EXHAUSTION_COOLDOWN_THRESHOLD_<PROVIDER>", "exhaustion_cooldown_seconds"),
    Form("QUOTA_NO_RESET_EXHAUSTION_POLICY", "no_reset.policy"),
    Form("QUOTA_NO_RESET_EXHAUSTION_POLICY_<PROVIDER>", "no_reset.policy"),
    Form("QUOTA_NO_RESET_COOLDOWN_SECONDS", "no_reset.cooldown_seconds"),
    Form("QUOTA_NO_RESET_COOLDOWN_SECONDS_<PROVIDER>", "no_reset.cooldown_seconds"),
    Form(
        f"CUSTOM_CAP_<PROVIDER>{_CAP}",
        CAPS,
        "`100`, `80%`, `-10` or `+10` requests. The tier is a number, several (`T1_2_`), a name of `rotation.tiers`, or"
        " `DEFAULT` for all.",
    ),
    Form(
        f"CUSTOM_CAP_COOLDOWN_<PROVIDER>{_CAP}",
        CAP_COOLDOWNS,
        "Of a cap that there is: `quota_reset`, `offset:300` or `fixed:3600`.",
    ),
)

_LONGEST_FIRST: Final = sorted(FORMS, key=lambda form: len(form.setting), reverse=True)

for _form in FORMS:
    variable(_form.form, _form.doc)


@dataclass(frozen=True, slots=True)
class Said:
    """One variable. ``provider`` None: all of them; ``mode``: the only one in which it counts.

    ``rest`` is what else the name says: a priority number, a group, or tier and model (``1_2_GPT_5``). ``value`` is
    read already; None where it could not be, and that is told.
    """

    form: Form
    provider: str | None
    mode: str | None
    rest: str
    at: At
    value: object

    @property
    def strength(self) -> tuple[int, bool, bool]:
        """The most special name wins, then the environment over the env file, then the firm name over its alias."""
        special = (self.provider is not None) + (self.mode is not None)
        return special, self.at.where == "environment", not self.form.alias


def read_names(
    environment: Mapping[str, Variable], providers: Iterable[str], modes: Collection[str], problems: list[Problem]
) -> tuple[Said, ...]:
    """What the variables say, the weakest first; ``providers`` and ``modes`` (strategies) are the known names."""
    grammar = _Grammar(providers, modes)
    said = []
    for name, held in sorted(environment.items()):
        forms = [form for form in FORMS if name == form.setting or name.startswith(f"{form.setting}_")]
        if not forms:
            continue
        fitting = grammar.fit(name)
        if fitting is not None:
            at = At(held.origin, name, text=True)
            said.append(Said(*fitting, at, _value(fitting[0], held.value.reveal(), at, modes, problems)))
        elif not KEY_FORM.fullmatch(name) and not name.endswith(("_API_BASE", "_PROXY_URL")):
            problems.append(Problem(held.origin, name, grammar.reason(name, forms)))
    return tuple(sorted(said, key=lambda one: one.strength))


@cache
def entry_of(path: str) -> Entry:
    """The field that a key of ``rotation`` (``fair_cycle.enabled``) is."""
    key, _, below = path.partition(".")
    entry = entries(Rotation)[key]
    while below:
        key, _, below = below.partition(".")
        assert isinstance(entry.hint, type)
        entry = entries(entry.hint)[key]
    return entry


def _value(form: Form, text: str, at: At, modes: Collection[str], problems: list[Problem]) -> object:
    if form.path in (CAPS, CAP_COOLDOWNS):
        return _cap_value(form, text, at, problems)
    entry = entry_of(form.path)
    hint = get_args(entry.hint)[1] if form.tail in (_PRIORITY, _GROUP) else entry.hint
    try:
        value = parse(hint, text, at, entry.rule)
        if hint is entry.hint and "." not in form.path:
            _alone(entry.name, value)
    except ConfigError as error:
        problems.extend(error.problems)
        return None
    except ValueError as error:  # the class's own check
        problems.append(Problem(at.where, at.key, str(error).partition(": ")[2]))
        return None
    if form.path == "mode" and text not in modes:
        problems.append(Problem(at.where, at.key, unknown_mode(text, modes)))
        return None
    return value


def _alone(key: str, value: Any) -> None:
    """Raises ValueError if a value is none that this key may have."""
    Rotation(**{key: value})


def unknown_mode(mode: str, modes: Collection[str]) -> str:
    """Why a mode cannot be used."""
    return f"{unknown(f'mode {found(mode)}', mode, modes)}; there are {', '.join(modes)}"


def _cap_value(form: Form, text: str, at: At, problems: list[Problem]) -> object:
    value: int | str = int(text) if _WHOLE.fullmatch(text) else text
    try:
        if form.path == CAPS:
            Cap(value, model="*")
        else:
            Cap(0, model="*", cooldown=text)
            value = text
    except ValueError as error:
        expected = str(error).partition(": ")[2].partition(", found ")[0]
        problems.append(Problem(at.where, at.key, f"{expected}, found {found(text)}"))
        return None
    return value


class _Grammar:
    """The names that are possible with these providers and modes."""

    def __init__(self, providers: Iterable[str], modes: Collection[str]) -> None:
        self._providers = {token(name): name for name in providers}
        self._modes = {token(name): name for name in modes}
        self._patterns: dict[str, re.Pattern[str]] = {}

    def fit(self, name: str) -> tuple[Form, str | None, str | None, str] | None:
        """Form, provider, mode and the rest of a name; None if it is none of ours."""
        for form in _LONGEST_FIRST:
            if form.is_global:
                if name == form.setting:
                    return form, None, None, ""
            elif name.startswith(f"{form.setting}_") and (match := self._pattern(form).fullmatch(name)):
                groups = match.groupdict("")
                mode = self._modes.get(groups.get("mode", ""))
                return form, self._providers[match["provider"]], mode, groups.get("rest", "")
        return None

    def _pattern(self, form: Form) -> re.Pattern[str]:
        """Made when it is first asked for: most settings stand nowhere."""
        if form.setting not in self._patterns:
            self._patterns[form.setting] = self._compiled(form)
        return self._patterns[form.setting]

    def _compiled(self, form: Form) -> re.Pattern[str]:
        tokens = sorted(self._providers, key=len, reverse=True)
        mode = rf"(?:_(?P<mode>{'|'.join(self._modes)}))?" if self._modes else ""
        tails = {
            "": "",
            _MODE: mode,
            _PRIORITY: rf"_PRIORITY_(?P<rest>[1-9][0-9]{{0,5}}){mode}",
            _GROUP: r"_(?P<rest>[A-Z0-9_]+)",
            _CAP: r"_T(?P<rest>[A-Z0-9]+_[A-Z0-9_]+)",
        }
        return re.compile(rf"{form.setting}_(?P<provider>{'|'.join(tokens) or '(?!)'}){tails[form.tail]}")

    def reason(self, name: str, forms: Collection[Form]) -> str:
        """Why a name that begins with settings is none: the nearest that is one, else how it should look."""
        begun = min((form.setting for form in forms), key=len)
        rest = token(name.removeprefix(begun).removeprefix("_"))
        likely: dict[str, bool] = {}
        for form in FORMS:
            if form.setting.startswith(begun) and not form.is_global:
                likely |= {one: own for one, own in self._likely(form, begun, rest) if self.fit(f"{begun}_{one}")}
        meant = nearest(rest, likely)
        if meant is None:
            own = [one for one, is_own in likely.items() if is_own]
            meant = min(own, key=lambda one: edits(rest, one), default=None)
        if meant is not None:
            return f"unknown name (did you mean {begun}_{meant}?)"
        form = max((form for form in forms if not form.is_global), key=lambda form: len(form.setting))
        return f"unknown name (expected {form.form}, of a provider that there is)"

    def _likely(self, form: Form, begun: str, rest: str) -> Iterator[tuple[str, bool]]:
        """What ``rest`` could have been in this form, and whether it says the provider rightly."""
        extra = form.setting.removeprefix(begun).removeprefix("_")
        number = re.search(r"[1-9][0-9]{0,5}\Z", rest)
        for provider in self._providers:
            head = f"{extra}_{provider}" if extra else provider
            behind = "_".join(rest.split("_")[head.count("_") + 1 :])
            priority = f"_PRIORITY_{number[0] if number else 1}"
            endings = {
                "": ("",),
                _MODE: ("", *(f"_{mode}" for mode in self._modes)),
                _PRIORITY: (priority, *(f"{priority}_{mode}" for mode in self._modes)),
                _GROUP: (f"_{behind}",),
                _CAP: (f"_{behind}", f"_TDEFAULT_{behind}"),
            }
            begins_alike = bool(extra) and rest.startswith(f"{extra.partition('_')[0]}_")
            own = f"{rest}_".startswith(f"{head}_") or begins_alike and rest.endswith(f"_{provider}")
            for ending in endings[form.tail]:
                yield head + ending, own
