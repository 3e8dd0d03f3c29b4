"""`python -m benchmarks`: the whole table; or one of the smaller measurements."""

import argparse
import ast
import importlib
import sys
from pathlib import Path

from benchmarks import suite

RESULTS = Path("docs/performance")
QUICK_RESULTS = Path("build/bench-quick")
INTERNAL = {"__main__", "generator", "streaming", "bare", "hostile", "mirror"}  # processes of the table itself
HERE = Path(__file__).resolve().parent


def others() -> dict[str, str]:
    """Modules that measure one thing each: they have a `main`; with the first line of what they say of themselves."""
    found = {}
    for path in sorted(HERE.glob("*.py")):
        tree = ast.parse(path.read_text())
        if path.stem not in INTERNAL and any(getattr(node, "name", "") == "main" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def table(argv: list[str]) -> None:
    """Run the table; options choose less of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", epilog=_epilog())
    parser.add_argument("--quick", action="store_true", help="one minute: four loads, short rounds")
    parser.add_argument(
        "--load", action="append", help="only this load (repeat)", choices=[n.name for n in suite.LOADS]
    )
    parser.add_argument("--subject", action="append", help="only this subject (repeat)", choices=list(suite.STARTS))
    parser.add_argument("--scale", type=float, help="shorten or lengthen each run by this factor")
    parser.add_argument("--rounds", type=int, help="rounds of each load")
    parser.add_argument("--out", type=Path, help=f"folder for the results ({RESULTS}; quick: {QUICK_RESULTS})")
    args = parser.parse_args(argv)
    partial = args.quick or args.load or args.subject
    out = args.out or (QUICK_RESULTS if partial else RESULTS)
    base = suite.quick(out) if args.quick else suite.full(out)
    choice = suite.Choice(
        loads=[load for load in suite.LOADS if load.name in args.load] if args.load else base.loads,
        only=frozenset(args.subject or base.only),
        scale=args.scale or base.scale,
        rounds=args.rounds or base.rounds,
        out=out,
    )
    done = suite.run(choice, ["python", "-m", "benchmarks", *argv])
    print(suite.write(done, choice.out))
    print(f"written to {choice.out}/results.md, results.json, ratios.svg", file=sys.stderr)


def _epilog() -> str:
    return "Also `python -m benchmarks NAME`: " + "; ".join(f"{name}: {text}" for name, text in others().items())


def main() -> None:
    """Dispatch."""
    argv = sys.argv[1:]
    if argv and not argv[0].startswith("-"):
        module = importlib.import_module(f"benchmarks.{argv[0]}") if argv[0] in others() else None
        if module is None:
            sys.exit(f"no such measurement: {argv[0]}; there are {', '.join(others())}")
        sys.argv = [f"python -m benchmarks {argv[0]}", *argv[1:]]
        module.main()
        return
    table(argv)


if __name__ == "__main__":
    main()
