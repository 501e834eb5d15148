"""Who may be used now: which keys there are, what is claimed about each, and who gets the next request."""
