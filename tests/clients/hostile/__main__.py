"""What code in the sandbox of `egret run` would try. Each attempt returns what it got hold of; an error is a refusal.

Reads where and what as JSON from the file named on the command line; prints {attempt: evidence or null}. Standard
library only, no Egret: it runs inside the sandbox, and outside as the control that shows that the attempts can succeed.
"""

import json
import os
import sys
import threading

import files  # noqa: F401
import network  # noqa: F401
import processes  # noqa: F401
from common import ATTEMPTS


def one(function, found, name):
    try:
        found[name] = function() or "something"
    except Exception as error:
        found[name] = None
        REASONS[name] = f"{type(error).__name__}: {error}"


REASONS = {}
found = {}
for name, function in ATTEMPTS.items():
    thread = threading.Thread(target=one, args=(function, found, name), daemon=True)
    thread.start()
    thread.join(60)
    if thread.is_alive():
        found[name], REASONS[name] = None, "hangs"
json.dump({"found": found, "reasons": REASONS}, sys.stdout)
sys.stdout.flush()
os._exit(0)
