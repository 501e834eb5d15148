"""Where anything is kept."""
