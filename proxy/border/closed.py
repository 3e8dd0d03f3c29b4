"""Steps of the border fail closed, whatever goes wrong inside."""

from collections.abc import Callable

from proxy.admission.events import SpoolError
from proxy.admission.services import log
from proxy.core.refusal import Refusal, Refused


def closed[**P, T](step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a step. What is not foreseen is a `Refused` too; no more than its class is ever logged."""
    try:
        return step(*args, **kwargs)
    except Refused:
        raise
    except SpoolError:
        raise Refused(Refusal("internal")) from None
    except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
        log.error("border failed closed: %s", type(error).__name__)  # the text may hold a value
        raise Refused(Refusal("internal")) from None
