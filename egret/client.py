"""The HTTP client of the admin API."""
