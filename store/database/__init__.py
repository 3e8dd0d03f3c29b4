"""The database of both planes: connections, tables, rows. Knows no plaintext and no caller."""
