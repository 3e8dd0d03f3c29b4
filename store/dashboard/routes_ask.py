"""Would this request be allowed? The verdict, the rule that decides, and what would change it, in words."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from store.dashboard.forms import trouble
from store.dashboard.routes_scopes import Trouble, show_tab
from store.dashboard.visit import Visit
from store.errors import Invalid
from store.model import Denial, Location
from store.presets import preset_of
from store.trust.judging import Obstacle
from store.vault import Decision, Question

FIELDS: Final = ("name", "url", "method", "where", "header", "environment", "consumer")

_PLACES: Final[Mapping[Location, str]] = {
    Location.HEADER: "a header",
    Location.URL: "the URL",
    Location.BODY: "the body",
    Location.MESSAGE: "a WebSocket message",
}


_MADE: Final = {
    "token_misplaced": (
        "It is traded for a token, which stands in headers and the URL alone.",
        "Move the placeholder into a header such as Authorization.",
    ),
    "token_blocked": (
        "The dataset's egress list does not let its token endpoint through.",
        "Whoever may change the dataset can add the endpoint to its egress list.",
    ),
    "signing_key_misplaced": (
        "It signs: its placeholder is the access key id in the header Authorization, or in a presigned URL.",
        "Give the placeholder to the SDK as the access key id.",
    ),
}
"""Of what is not written as it is: why not, and what would change it."""


async def ask_page(visit: Visit) -> web.Response:
    """Show the form, and the verdict where something was asked."""
    asked = {name: text for name in FIELDS if (text := visit.request.query.get(name, "").strip())}
    if not {"name", "url"} <= asked.keys():
        return await show_tab(visit, "ask", asked=asked, decision=None)
    question = Question(
        asked["name"],
        asked["url"],
        asked.get("method", "GET"),
        asked.get("where", "header"),
        asked.get("header", "authorization"),
        asked.get("environment", ""),
        asked.get("consumer"),
    )
    try:
        decision = await visit.read(visit.state.vault.asking.ask, visit.scope, question)
    except Invalid as error:
        refused = trouble(visit, "ask", error, "That cannot be asked.")
        return await show_tab(visit, "ask", refused, asked=asked, decision=None)
    words = {"verdict": verdict(decision), "because": because(decision), "remedy": remedy(decision)}
    return await show_tab(visit, "ask", Trouble(), asked=asked, decision=decision, kind="secrets", **words)


def verdict(decision: Decision) -> str:
    """Return the answer in a line."""
    if decision.allowed:
        done = decision.credential
        what = "the value is put in" if done.written else "a token is put in" if done.traded else "it is signed"
        return f"Yes: {what}, and the request goes on."
    if decision.carried:
        return "No value is put in: the placeholder goes on as it is written."
    return "No: the request is refused."


def because(decision: Decision) -> str:
    """Say what decides it."""
    use, host = decision.use, decision.use.destination
    place = f"the header {use.header}" if use.location is Location.HEADER else _PLACES[use.location]
    if decision.allowed:
        return f"A rule serves {use.method} at {host}, and lets the value stand in {place}."
    if decision.code == "destination_blocked":
        return f"The dataset's egress list does not let any request through to {host}."
    if decision.code == Denial.UNKNOWN:
        return "There is no secret of this name here that you may see and a session of yours could use."
    if decision.code in _MADE:
        return _MADE[decision.code][0]
    preset = preset_of(host.host)
    return {
        Obstacle.CLEARTEXT: f"It has no rules, and goes nowhere without TLS: {host}.",
        Obstacle.RULES: f"None of its rules serves {use.method} at {host}{use.path}.",
        Obstacle.PLACE: f"It may go to {host}, but not in {place}.",
        Obstacle.HEADER: f"It may go to {host} in a header, but not in {place}.",
        Obstacle.PRESET: f"What is known of {host.host} does not let a value stand in {place}"
        + (f": {preset.acts}." if preset is not None and preset.acts else "."),
        None: "",
    }[decision.obstacle]


def remedy(decision: Decision) -> str:
    """Say what would change it; "" where nothing has to."""
    if decision.code in _MADE:
        return _MADE[decision.code][1]
    return {
        "": "",
        "destination_blocked": "Whoever may change the dataset can add the host to its egress list.",
        Denial.UNKNOWN: "Check the spelling, the environment and the consumer; or add it.",
        Denial.DESTINATION: "Destinations are sealed with the value: enter it again with this one among them.",
        Denial.LOCATION: "Move the placeholder; or enter the value again with this place among its locations.",
    }[decision.code]
