"""The audit log, its proofs, and the lines that the data plane sends."""
