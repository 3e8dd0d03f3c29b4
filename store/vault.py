"""The write gate: authorise, audit, seal, store."""
