"""Data sets from their sources, and their train, validation and test sets."""
