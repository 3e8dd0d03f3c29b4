"""The environment of the tests, for children with shims and without."""

import os


def clean(**extra):
    """The environment of the tests without what steers proxies, Node and Python."""
    steering = ("proxy", "node_", "python", "egret_")
    return {k: v for k, v in os.environ.items() if not any(s in k.lower() for s in steering)} | extra
