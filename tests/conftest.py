"""Rules for all tests: what a test needs from the machine, and no skip in CI."""

import os
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings
from programs import program

sys.dont_write_bytecode = False
"""Whatever the environment says: or each worker, in each run, rewrites all assertions, which is half of collecting."""

CI = os.environ.get("CI") == "true"

# The wall clock of a busy machine says nothing of what is tested. In CI the same examples are drawn each time, or it would
# tell who changed one thing of a fault in another; elsewhere each run draws its own, and `long` many of them.
COUNTED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("counted", COUNTED, derandomize=CI)
settings.register_profile("long", COUNTED, max_examples=5000)
settings.load_profile("counted")

# A shell in the background and `nohup` have these ignored, and programs hand it on: no Ctrl-C of a test would be heard.
for number, usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


@pytest.fixture(autouse=True)
def _signals():
    """No test leaves signals blocked: programs that later ones start would have them so, and hear no SIGTERM."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    after = signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert after == before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One API with its dashboard for the tests of a module that only look, or do not mind what others left."""
    from apis import Api

    made = Api(tmp_path_factory.mktemp("shared") / "data")
    yield made
    made.close()


def pytest_runtest_setup(item):
    for marker in item.iter_markers("needs"):
        for tool in marker.args:
            if program(tool) is None:
                pytest.skip(f"needs {tool}: run tools/system-parts")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begin with the modules that take longest, or at the end one worker would wait for the other (see `make test`)."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_make_parametrize_id(val, argname):
    """Name no test after bytes that may differ with each run (masks, times): workers must collect alike."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    _never_skip((yield).get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    _never_skip((yield).get_result())


def _never_skip(report):
    """In CI a skip is a failure: a suite that quietly tests less must not be green."""
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {reason}"
