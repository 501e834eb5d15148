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
from typing import Any, Final, Literal

import pluggy

from rotator.config.reader import At
from rotator.config.sources import read_document
from rotator.contain import contain
from rotator.errors import ConfigError, PluginError
from rotator.hookspecs import AttemptSeen, Hooks
from rotator.registry import KINDS, Kind, Registration, Registry, checked, freeze
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
class Loaded:
    """Everything found, and the registry of what is in use.  ``python`` is kept over reloads: code is loaded once."""

    plugins: tuple[Plugin, ...]
    registry: Registry
    observers: tuple[Any, ...]
    python: Mapping[str, tuple[Registration, ...] | PluginError]


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


def find(kind: Kind, roots: Sequence[Path]) -> Iterator[Found | tuple[Found, str]]:
    """Every plug-in file of a kind, root by root; with a reason where two files of one root share a stem."""
    for rank, root in enumerate(roots):
        origin: Origin = "built-in" if rank == len(roots) - 1 else "user"
        stems: dict[str, list[Path]] = {}
        folder = root / kind
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            stem = _stem(path)
            if stem is not None and not stem.startswith(("_", ".")):
                stems.setdefault(stem, []).append(path)
        for stem, paths in sorted(stems.items()):
            found = Found(kind, stem, paths[0], rank, origin)
            if len(paths) > 1:
                yield found, f"two files of one name: {', '.join(path.name for path in paths)}"
            else:
                yield found


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
    """One pass over all roots and entry points, in the order in which names are given away."""

    def __init__(self, user_roots: Sequence[Path], previous: Loaded | None) -> None:
        self.roots = [*(root.expanduser().resolve() for root in user_roots), builtin_root()]
        self.previous = previous
        self.python: dict[str, tuple[Registration, ...] | PluginError] = dict(previous.python) if previous else {}
        self.observers: list[Any] = list(previous.observers) if previous else []
        self.plugins: list[Plugin] = []
        self.taken: dict[tuple[Kind, str], Registration] = {}
        self.stems: dict[tuple[Kind, str], Found] = {}

    def run(self) -> Loaded:
        for kind in KINDS:
            if self.previous is None:
                mount(kind, self.roots)
            for found in find(kind, self.roots):
                self._file(*found) if isinstance(found, tuple) else self._file(found)
        for point in sorted(entry_points(group="rotator"), key=lambda point: point.name):
            self._installed(point)
        return Loaded(tuple(self.plugins), freeze(self.taken), tuple(self.observers), self.python)

    def _file(self, found: Found, doubled: str = "") -> None:
        path = str(found.path)
        first = self.stems.setdefault((found.kind, found.stem), found)
        if first is not found:
            log.info("%s replaces %s", first.path, path)
            self._tell(Plugin(found.kind, (found.stem,), path, found.origin, "overridden", f"by {first.path}"))
            return
        if doubled:
            self._broken(found.kind, found.stem, found.origin, PluginError(path, doubled))
            return
        try:
            if found.path.suffix in YAML:
                registered: tuple[Registration, ...] = (read_provider(found),)
            elif path in self.python or self.previous is None:
                registered = self._once(path, lambda: self._import(found))
            else:
                reason = "Python plug-ins are loaded at the start only"
                self._tell(Plugin(found.kind, (found.stem,), path, found.origin, "needs restart", reason))
                return
            self._take(found.kind, registered, path, found.origin)
        except PluginError as error:
            self._broken(found.kind, found.stem, found.origin, error)

    def _once(self, path: str, work: Any) -> tuple[Registration, ...]:
        """The registrations of a module, loaded at most once in the life of the process, its failure too."""
        if path not in self.python:
            try:
                self.python[path] = work()
            except PluginError as error:
                self.python[path] = error
        kept = self.python[path]
        if isinstance(kept, PluginError):
            raise kept
        return kept

    def _import(self, found: Found) -> tuple[Registration, ...]:
        try:
            module = importlib.import_module(f"{__name__}.{found.kind}.{found.stem}")
        except (Exception, SystemExit) as cause:
            raise PluginError(str(found.path), f"{type(cause).__name__}: {cause}") from cause
        return self._hooks(module, str(found.path))

    def _hooks(self, module: Any, path: str) -> tuple[Registration, ...]:
        """Call a module's registering hooks; nothing of it counts if one of them fails."""
        manager = pluggy.PluginManager("rotator")
        manager.add_hookspecs(Hooks)
        registered: list[Registration] = []
        try:
            manager.register(module)
            manager.check_pending()
            for kind in KINDS:
                for hook in getattr(manager.hook, f"register_{kind}").get_hookimpls():
                    hook.function(lambda thing, kind=kind: registered.append(checked(kind, thing, path)))
        except PluginError:
            raise
        except Exception as cause:
            raise PluginError(path, f"{type(cause).__name__}: {cause}") from cause
        observers = [hook.function for hook in manager.hook.on_attempt.get_hookimpls()]
        if not registered and not observers:
            raise PluginError(path, "registers nothing: no hook of rotator.api is implemented in it")
        self.observers.extend(observers)
        return tuple(registered)

    def _take(self, kind: Kind | str, registered: Sequence[Registration], path: str, origin: Origin) -> None:
        """Give names away, all of a file or none; a name that is taken stays with the one before."""
        clashes = [entry for entry in registered if (entry.kind, entry.name) in self.taken]
        twice = len({(entry.kind, entry.name) for entry in registered}) < len(registered)
        if twice:
            raise PluginError(path, "registers one name twice")
        for entry in clashes:
            before = self.taken[entry.kind, entry.name]
            if origin == "built-in" and self._is_builtin(before.path):
                raise PluginError(path, f"{entry.kind[:-1]} {entry.name!r} is registered by {before.path} too")
            log.info("%s %r of %s replaces that of %s", entry.kind[:-1], entry.name, before.path, path)
        for entry in registered:
            self.taken.setdefault((entry.kind, entry.name), entry)
        names = tuple(entry.name for entry in registered)
        if clashes and len(clashes) == len(registered):
            winner = self.taken[clashes[0].kind, clashes[0].name].path
            self._tell(Plugin(kind, names, path, origin, "overridden", f"by {winner}"))
        else:
            reason = f"{', '.join(entry.name for entry in clashes)} overridden" if clashes else ""
            self._tell(Plugin(kind, names, path, origin, "ok", reason))

    def _is_builtin(self, path: str) -> bool:
        return Path(path).is_relative_to(self.roots[-1])

    def _installed(self, point: EntryPoint) -> None:
        path = f"{point.dist.name if point.dist else 'package'}: {point.name} = {point.value}"
        try:
            registered = self._once(path, lambda: self._hooks(_loaded(point, path), path))
            kind = registered[0].kind if registered else "hooks"
            self._take(kind, registered, path, "installed")
        except PluginError as error:
            self._broken("package", point.name, "installed", error)

    def _broken(self, kind: Kind | str, name: str, origin: Origin, error: PluginError) -> None:
        if origin == "built-in":
            raise error
        log.warning("plug-in skipped: %s", error)
        self._tell(Plugin(kind, (name,), error.path, origin, "broken", error.reason))

    def _tell(self, plugin: Plugin) -> None:
        self.plugins.append(replace(plugin))


def _loaded(point: EntryPoint, path: str) -> Any:
    try:
        return point.load()
    except (Exception, SystemExit) as cause:
        raise PluginError(path, f"{type(cause).__name__}: {cause}") from cause


def read_provider(found: Found) -> Registration:
    """A YAML file as a provider; ``name`` may be left out and must else be the file's name.  Raises PluginError."""
    path = str(found.path)
    if found.kind != "providers":
        raise PluginError(path, f"a YAML file is a provider; in {found.kind}/ a plug-in is Python")
    try:
        declaration = {"name": found.stem, **_texts(read_document(found.path, path).data)}
        if declaration["name"] != found.stem:
            raise PluginError(path, f"name: {declaration['name']!r} is not the file's name {found.stem!r}")
        provider = HttpProvider(declaration, At(path))
    except ConfigError as error:
        reason = "; ".join(f"{one.key}: {one.reason}" if one.key else one.reason for one in error.problems)
        raise PluginError(path, reason) from error
    return checked("providers", provider, path)


def _texts(data: Mapping[object, object]) -> dict[str, Any]:
    return {str(key): value for key, value in data.items()}


def tell(observers: Sequence[Any], attempt: AttemptSeen) -> None:
    """Call every ``on_attempt``; one that raises is logged and never fails the request."""
    for observe in observers:
        with contain(f"on_attempt of {getattr(observe, '__module__', observe)}"):
            observe(attempt=attempt)
