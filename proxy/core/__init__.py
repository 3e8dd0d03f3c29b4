"""Finding, deciding, encoding and scrubbing: pure, without I/O and without asyncio's loop but for `searches`."""
