"""The read gate: the only door of the data plane."""
