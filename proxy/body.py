"""Streaming rewriters for bodies, per content type and content encoding."""
