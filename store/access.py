"""Principals, API keys, permissions."""
