"""Authorities and the address guard."""
