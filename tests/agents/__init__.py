"""Real clients, installed from their registries, against a real server in front of the strict fake vendor.

``make agents``, or ``python -m tests.agents [WORDS...] [--cache DIR]``, installs each client once, in the release that
is pinned in ``installs.py``, into a cache folder outside the tree (``--cache``, else ``AGENTS_CACHE``, else
``rotator-agents`` in the system's folder for temporary files), runs the sessions and prints a table. ``WORDS`` choose
among the sessions by their files' names, as pytest's ``-k`` does. What cannot be installed or started is skipped, and
the table says why.

``sessions_*.py`` are these sessions. pytest collects them only where they are named, so that ``make test`` downloads
nothing; ``test_*.py`` need no install and belong to ``make test``. ``ground.py`` is what a session stands on: vendor,
proxy and an empty home. ``scripted.py`` is a model that works through a list of tool calls; since it is one of the
demo engine's own models, each request of a client is checked as the vendors would, and each answer comes in the
protocol and form that was asked for. ``node/`` holds the programs for the SDKs of JavaScript.
"""
