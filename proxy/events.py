"""Audit of use: one line per injection, carry and refusal, spooled before bytes leave."""
