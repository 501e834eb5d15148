"""The transform trace: what is written down of each request, and how it is read again."""
