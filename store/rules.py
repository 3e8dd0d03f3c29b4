"""Destination rules: parsed once, canonical, matched without regular expressions."""
