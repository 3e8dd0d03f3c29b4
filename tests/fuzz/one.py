"""One fuzz target under libFuzzer; started by run.py."""

import sys
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent / "support"), str(HERE)]

with atheris.instrument_imports(include=["proxy"]):
    from targets import TARGETS

NAME = sys.argv.pop(1)
atheris.Setup(sys.argv, TARGETS[NAME])
atheris.Fuzz()
