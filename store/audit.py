"""The hash chain, written in the transaction of the change."""
