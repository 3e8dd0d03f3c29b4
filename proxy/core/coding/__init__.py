"""Content codings (RFC 9110 8.4): gzip, deflate, br, zstd and chains of them, streaming both ways."""

from proxy.core.coding.chain import Codec, codings, known

__all__ = ["Codec", "codings", "known"]
