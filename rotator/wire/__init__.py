"""Bytes without meaning: SSE framing, JSON text, the model splice."""
