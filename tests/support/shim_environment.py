"""The environment of the tests, for children with shims and without."""

import base64
import os
import re


def clean(**extra):
    """The environment of the tests without what steers proxies, Node and Python."""
    steering = ("proxy", "node_", "python", "egret_")
    return {k: v for k, v in os.environ.items() if not any(s in k.lower() for s in steering)} | extra


def user_names(head):
    """Who the proxy was told is asking."""
    values = re.findall(rb"(?im)^proxy-authorization: basic (\S+)", head)
    return [base64.b64decode(value).partition(b":")[0] for value in values]
