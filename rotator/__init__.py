"""Rotator: a self-hosted proxy between any LLM client and any LLM provider."""

__version__ = "0.1.0"
