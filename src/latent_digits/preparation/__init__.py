"""MNIST from its sources, and its train, validation and test sets."""
