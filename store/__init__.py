"""Control plane and vault: a write-only, encrypted, dataset-scoped store of secrets."""
