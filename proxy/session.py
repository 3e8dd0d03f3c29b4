"""From a credential to a caller."""
