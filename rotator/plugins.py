"""Find, mount and load plug-ins: built-in folders, user folders and installed packages, all the same way.

A plug-in is one Python file, one package or one YAML file in a folder named after its kind. Each kind is mounted as
the package ``rotator.plugins.<kind>`` whose search path lists the users' folders first and ours last, so ordinary
imports do the rest and a user's file replaces ours by name (style.md 3P). What cannot be used is named with its path
and reason: of a user it is skipped (a name that it meant to replace stays empty, so that no key goes to an address
that its owner meant to change); of our own it stops the start.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import pluggy

from rotator.config.reader import At
from rotator.config.secrets import Sieve
from rotator.config.sources import read_document
from rotator.contain import contain
from rotator.errors import ConfigError, PluginError
from rotator.hookspecs import AttemptSeen, Hooks
from rotator.registry import KINDS, REGISTERED, Kind, Registration, Registry, checked, freeze, one_of
from rotator.upstream.adapter import BaseAdapter, NeutralAdapter, WireAdapter, make_adapters
from rotator.upstream.dialects import check_dialects
from rotator.upstream.provider import HttpProvider

log = logging.getLogger(__name__)

Origin = Literal["built-in", "user", "installed"]
State = Literal["ok", "overridden", "broken", "needs restart"]
YAML: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is a plug-in by its place.  ``stem`` is its name, ``rank`` the root's place in the order."""

    kind: Kind
    stem: str
    path: Path
    rank: int
    origin: Origin


@dataclass(frozen=True, slots=True)
class Plugin:
    """One line of ``rotator plugins``: a file or entry point, what it registered, and whether it is in use."""

    kind: Kind | str
    names: tuple[str, ...]
    path: str
    origin: Origin
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Module:
    """What one plug-in file brings.  ``stamp`` tells a changed file from the one that was loaded."""

    registrations: tuple[Registration, ...]
    observers: tuple[Any, ...] = ()
    stamp: int = 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything found, and the registry of what is in use.  ``python`` is kept over reloads: code is loaded once."""

    plugins: tuple[Plugin, ...]
    registry: Registry
    observers: tuple[Any, ...]
    python: Mapping[str, Module | PluginError]


def builtin_root() -> Path:
    """The folder holding our own kind folders: packaged in a wheel, the checkout otherwise."""
    package = Path(__file__).resolve().parent
    packaged = package / "_builtin"
    return packaged if packaged.is_dir() else package.parent


def mount(kind: Kind, roots: Sequence[Path]) -> None:
    """Make ``rotator.plugins.<kind>`` a package that searches ``<root>/<kind>`` in order."""
    name = f"{__name__}.{kind}"
    for loaded in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        del sys.modules[loaded]
    spec = ModuleSpec(name, loader=None, is_package=True)
    spec.submodule_search_locations = [str(root / kind) for root in roots]
    package = module_from_spec(spec)
    sys.modules[name] = package
    setattr(sys.modules[__name__], kind, package)
    importlib.invalidate_caches()


def find(kind: Kind, roots: Sequence[Path], rank: int) -> Iterator[tuple[Found, str]]:
    """Every plug-in file of a kind in one root, and why it cannot be used ("" if it can, as far as names tell)."""
    origin: Origin = "built-in" if rank == len(roots) - 1 else "user"
    stems: dict[str, list[Path]] = {}
    folder = roots[rank] / kind
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        stem = _stem(path)
        if stem is not None and not stem.startswith(("_", ".")):
            stems.setdefault(stem, []).append(path)
    for stem, paths in sorted(stems.items()):
        doubled = f"two files of one name: {', '.join(path.name for path in paths)}" if len(paths) > 1 else ""
        yield Found(kind, stem, paths[0], rank, origin), doubled


def _stem(path: Path) -> str | None:
    if path.is_dir():
        return path.name if (path / "__init__.py").is_file() else None
    return path.stem if path.suffix in (".py", *YAML) else None


def load(user_roots: Sequence[Path] = (), previous: Loaded | None = None) -> Loaded:
    """Load everything; with ``previous`` only YAML is read again, Python modules stay as they are.

    Raises PluginError where one of our own cannot be used.
    """
    return _Loading(user_roots, previous).run()


class _Loading:
    """One pass over all roots and entry points, in the order in which names are given away: user roots before ours."""

    def __init__(self, user_roots: Sequence[Path], previous: Loaded | None) -> None:
        self.roots = [*(root.expanduser().resolve() for root in user_roots), builtin_root()]
        self.previous = previous
        self.python: dict[str, Module | PluginError] = dict(previous.python) if previous else {}
        self.observers: list[Any] = []
        self.plugins: list[Plugin] = []
        self.taken: dict[tuple[Kind, str], Registration] = {}
        self.stems: dict[tuple[Kind, str], Found] = {}

    def run(self) -> Loaded:
        if self.previous is None:
            for kind in KINDS:
                mount(kind, self.roots)
        for rank in range(len(self.roots)):
            for kind in KINDS:
                for found, reason in find(kind, self.roots, rank):
                    self._file(found, reason)
        for point in sorted(entry_points(group="rotator"), key=lambda point: point.name):
            self._installed(point)
        self._drop_unspoken()
        self._drop_unadapted()
        return Loaded(tuple(self.plugins), freeze(self.taken), tuple(self.observers), self.python)

    def _file(self, found: Found, unusable: str) -> None:
        path = str(found.path)
        first = self.stems.setdefault((found.kind, found.stem), found)
        if first is not found:
            log.info("%s replaces %s", first.path, path)
            self.plugins.append(
                Plugin(found.kind, (found.stem,), path, found.origin, "overridden", f"by {first.path}")
            )
            return
        try:
            if unusable:
                raise PluginError(path, unusable)
            if found.path.suffix in YAML:
                self._take(found.kind, found.stem, Module((read_provider(found),)), path, found.origin)
            elif self.previous is not None and self._changed(found):
                reason = "Python plug-ins are read at the start only"
                log.warning("%s: %s", path, reason)
                if path in self.python:
                    self._take(found.kind, found.stem, self._once(path, found), path, found.origin, reason)
                else:
                    self.plugins.append(
                        Plugin(found.kind, (found.stem,), path, found.origin, "needs restart", reason)
                    )
            else:
                self._take(found.kind, found.stem, self._once(path, found), path, found.origin)
        except PluginError as error:
            self._broken(found.kind, found.stem, found.origin, error)

    def _changed(self, found: Found) -> bool:
        """Whether a Python file is new, or another one than was loaded."""
        kept = self.python.get(str(found.path))
        return kept is None or (isinstance(kept, Module) and kept.stamp != stamp_of(found.path))

    def _once(self, path: str, source: Found | EntryPoint) -> Module:
        """A module, loaded at most once in the life of the process; its failure is kept too."""
        if path not in self.python:
            try:
                self.python[path] = hooks_of(source, path)
            except PluginError as error:
                self.python[path] = error
        kept = self.python[path]
        if isinstance(kept, PluginError):
            raise kept
        return kept

    def _take(
        self, kind: Kind | str, stem: str, module: Module, path: str, origin: Origin, outdated: str = ""
    ) -> None:
        """Give names away, all of a file or none; a name that is taken stays with the one before."""
        registered = module.registrations
        clashes = [entry for entry in registered if (entry.kind, entry.name) in self.taken]
        if len({(entry.kind, entry.name) for entry in registered}) < len(registered):
            raise PluginError(path, "registers one name twice")
        for entry in clashes:
            before = self.taken[entry.kind, entry.name]
            if origin == "built-in" and Path(before.path).is_relative_to(self.roots[-1]):
                raise PluginError(path, f"{one_of(entry.kind)} {entry.name!r} is registered by {before.path} too")
            log.info("%s %r of %s replaces that of %s", one_of(entry.kind), entry.name, before.path, path)
        for entry in registered:
            self.taken.setdefault((entry.kind, entry.name), entry)
        self.observers.extend(module.observers)
        names = tuple(entry.name for entry in registered) or (stem,)
        if clashes and len(clashes) == len(registered):
            winner = self.taken[clashes[0].kind, clashes[0].name].path
            self.plugins.append(Plugin(kind, names, path, origin, "overridden", f"by {winner}"))
            return
        reason = f"{', '.join(entry.name for entry in clashes)} overridden" if clashes else outdated
        self.plugins.append(Plugin(kind, names, path, origin, "needs restart" if outdated else "ok", reason))

    def _installed(self, point: EntryPoint) -> None:
        path = f"{point.dist.name if point.dist else 'package'}: {point.name} = {point.value}"
        try:
            module = self._once(path, point)
            kind = module.registrations[0].kind if module.registrations else "hooks"
            self._take(kind, point.name, module, path, "installed")
        except PluginError as error:
            self._broken("package", point.name, "installed", error)

    def _drop_unspoken(self) -> None:
        """A provider whose protocol nobody registered is broken; known only when everything is loaded."""
        protocols = {name for kind, name in self.taken if kind == "protocols"}
        for (kind, _), entry in tuple(self.taken.items()):
            unknown = [one.protocol for one in entry.thing.profiles.values()] if kind == "providers" else []
            unknown = [protocol for protocol in unknown if protocol not in protocols]
            if unknown:
                known = ", ".join(sorted(protocols))
                error = PluginError(entry.path, f"no protocol is named {unknown[0]!r} (there are: {known})")
                self._drop(entry, error)

    def _drop_unadapted(self) -> None:
        """A provider whose adapters or dialect cannot serve it; known only when everything is loaded."""
        adapters = {name: entry.thing for (kind, name), entry in self.taken.items() if kind == "adapters"}
        protocols = {name: entry.thing for (kind, name), entry in self.taken.items() if kind == "protocols"}
        for entry in [entry for (kind, _), entry in self.taken.items() if kind == "providers"]:
            try:
                make_adapters(entry.thing, adapters, protocols, At(entry.path))
                check_dialects(entry.thing, protocols, At(entry.path))
            except ConfigError as error:
                self._drop(entry, PluginError(entry.path, _reasons(error)))

    def _drop(self, entry: Registration, error: PluginError) -> None:
        """Take back a provider that was registered and cannot serve."""
        del self.taken[entry.kind, entry.name]
        line = next(one for one in self.plugins if one.path == entry.path and entry.name in one.names)
        place = self.plugins.index(line)
        others = tuple(name for name in line.names if name != entry.name)
        self.plugins[place : place + 1] = [replace(line, names=others)] if others else []
        self._broken(entry.kind, entry.name, line.origin, error)

    def _broken(self, kind: Kind | str, name: str, origin: Origin, error: PluginError) -> None:
        if origin == "built-in":
            raise error
        log.warning("plug-in skipped: %s", error)
        self.plugins.append(Plugin(kind, (name,), error.path, origin, "broken", error.reason))


def stamp_of(path: Path) -> int:
    """When a Python plug-in was changed last: the file, or the newest file of a package.  ns; 0 if it is gone."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    try:
        return max((file.stat().st_mtime_ns for file in files), default=0)
    except OSError:
        return 0


def hooks_of(source: Found | EntryPoint, path: str) -> Module:
    """Import a plug-in and call its registering hooks; nothing of it counts if anything fails.  Raises PluginError."""
    manager = pluggy.PluginManager("rotator")
    manager.add_hookspecs(Hooks)
    registered: list[Registration] = []
    try:
        if isinstance(source, EntryPoint):
            module = source.load()
        else:
            module = importlib.import_module(f"{__name__}.{source.kind}.{source.stem}")
        manager.register(module)
        manager.check_pending()
        for kind in REGISTERED:
            for hook in getattr(manager.hook, f"register_{kind}").get_hookimpls():
                hook.function(lambda thing, kind=kind: registered.append(checked(kind, thing, path)))
        if not registered and not isinstance(source, EntryPoint) and source.kind == "adapters":
            registered += (checked("adapters", one, path) for one in _plain_adapters(module, source.stem))
    except PluginError:
        raise
    except (Exception, SystemExit) as cause:
        reason = " ".join(f"{type(cause).__name__}: {cause}".split())
        raise PluginError(path, reason) from cause
    observers = tuple(hook.function for hook in manager.hook.on_attempt.get_hookimpls())
    if not registered and not observers:
        raise PluginError(path, "registers nothing: no hook of rotator.api is implemented in it")
    stamp = 0 if isinstance(source, EntryPoint) else stamp_of(source.path)
    return Module(tuple(registered), observers, stamp)


def _plain_adapters(module: ModuleType, stem: str) -> list[type[BaseAdapter]]:
    """The adapters of a module without hooks: its classes that derive from ours; the file names the nameless."""
    own = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
    kinds = (WireAdapter, NeutralAdapter)
    found: list[type[BaseAdapter]] = [
        one for one in own if issubclass(one, kinds) and not one.__name__.startswith("_")
    ]
    for one in found:
        one.name = one.name or stem
    return found


def read_provider(found: Found) -> Registration:
    """A YAML file as a provider; ``name`` may be left out and must else be the file's name.  Raises PluginError."""
    path = str(found.path)
    if found.kind != "providers":
        raise PluginError(path, f"a YAML file is a provider; in {found.kind}/ a plug-in is Python")
    try:
        sieve = Sieve(path)
        declaration = {"name": found.stem, **sieve.mapping(read_document(found.path, path).data)}
        if sieve.problems:
            raise ConfigError(sieve.problems)
        if declaration["name"] != found.stem:
            raise PluginError(path, f"name: {declaration['name']!r} is not the file's name {found.stem!r}")
        provider = HttpProvider(declaration, At(path))
    except ConfigError as error:
        raise PluginError(path, _reasons(error)) from error
    return checked("providers", provider, path)


def _reasons(error: ConfigError) -> str:
    """All problems of one file in a line."""
    return "; ".join(f"{one.key}: {one.reason}" if one.key else one.reason for one in error.problems)


def tell(observers: Sequence[Any], attempt: AttemptSeen) -> None:
    """Call every ``on_attempt``; one that raises is logged and never fails the request."""
    for observe in observers:
        with contain(f"on_attempt of {getattr(observe, '__module__', observe)}"):
            observe(attempt=attempt)
