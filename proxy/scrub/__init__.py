"""The way back: values become placeholders again, streaming."""

from proxy.scrub.scrubber import BodyScrub, MessageScrub, Scrubber

__all__ = ["BodyScrub", "MessageScrub", "Scrubber"]
