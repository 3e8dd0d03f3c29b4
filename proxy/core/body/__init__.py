"""Streaming rewriters for bodies, per content type and content encoding."""

from proxy.core.body.rewriter import Rewriter, rewriter

__all__ = ["Rewriter", "rewriter"]
