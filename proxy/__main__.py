"""Composition root of the data plane."""
