"""What users import and type: the command line, the HTTP client, and placeholders for code."""

from egret.secrets import secrets, variables

__all__ = ["secrets", "variables"]
__version__ = "0.2.0"
