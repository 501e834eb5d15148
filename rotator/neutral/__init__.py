"""The neutral model: data only, no I/O."""
