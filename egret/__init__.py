"""What users import and type: the command line, the HTTP client, and placeholders for code."""

__version__ = "0.1.0"
