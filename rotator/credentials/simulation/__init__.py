"""The pool under a virtual clock: what a configuration would do with a load (docs/simulation.md).

It decides nothing about keys itself: the pool that is asked is the server's. Its own are time, the clients' requests,
and what the vendor answers.
"""
