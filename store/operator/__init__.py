"""What an operator does on the host, without the API: founding, restoring, re-sealing, recovering."""
