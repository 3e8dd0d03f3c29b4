"""What users import and type: the command line, the HTTP client, and placeholders for code."""

from egret.secrets import ctx, secrets, variables

__all__ = ["ctx", "secrets", "variables"]
__version__ = "0.2.0"
