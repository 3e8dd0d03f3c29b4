"""The private half: verify and open envelopes. Never imported by the control plane."""
