"""Mounts the plug-in folders before the tests import from them."""

from rotator.plugins import builtin_root, mount

for kind in ("protocols", "providers"):
    mount(kind, [builtin_root()])
