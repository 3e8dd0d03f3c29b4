"""Run at start by every Python of a session, which finds it through PYTHONPATH (`egret run`).

It installs the hook, takes its own folder off sys.path again, and hands over to the sitecustomize that would have run
without it: Debian's, the virtual environment's or the program's. Python 2 passes through here too, so this file keeps
to what both understand.
"""

import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))

try:
    if sys.version_info >= (3, 7):
        import egret_shims_hook

        egret_shims_hook.install()
except Exception as error:  # never break an interpreter
    if sys.stderr is not None:
        sys.stderr.write("egret: the Python shim is not installed: %s: %s\n" % (type(error).__name__, error))

sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _here]
_own = sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize  # the next one on sys.path; what it raises is reported as it always was
except ImportError as error:
    if _own is None or getattr(error, "name", "sitecustomize") != "sitecustomize":
        raise
    sys.modules["sitecustomize"] = _own
