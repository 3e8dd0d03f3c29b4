"""An answer with credentials, which are captured: nothing of it is shown before it was looked into."""

from dataclasses import dataclass
from itertools import chain
from typing import Self

from proxy.admission.admitted import Admitted
from proxy.border.captures import Captures
from proxy.border.hits import Hits
from proxy.border.lane import Answer
from proxy.core import capture
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import Scrubber
from store.model import Location
from store.reader import Capturing, captures_keys


@dataclass(frozen=True, slots=True)
class Login:
    """See the module. `by`: by what it is captured."""

    admitted: Admitted
    by: tuple[Capturing, ...]

    @classmethod
    def of(cls, admitted: Admitted, status: int, *, hands_out: bool) -> Self | None:
        """Return how an answer is captured, if it is; raises `Refused` where it is to be, and cannot.

        `hands_out`: it holds a key of AWS. What does not capture that shows nothing: the view may be a newer one than
        that by which it was asked for.
        """
        if status < 200 and status != 101:
            return None
        by = admitted.view.capturing(admitted.head.use(Location.BODY)) if admitted.view.captures else ()
        if by and not capture.may_pass(status):
            raise cls(admitted, by).withheld()
        if hands_out and status >= 200 and not captures_keys(by):
            raise Refused(Refusal("answer_withheld"))
        return cls(admitted, by) if by else None

    def withheld(self) -> Refused:
        """Return what is raised for an answer that cannot be looked into."""
        return Refused(Refusal("answer_withheld", self.by[0].name))

    def shown(self, answer: Answer, text: bytes, captures: Captures, hits: Hits) -> tuple[bytes, Fields, bytes]:
        """Return what the client may see of body, fields and reason; raises `Refused`. `answer`: its head, searched."""
        trail, session = self.admitted.trail, self.admitted.caller.session
        by = {member: each for each in reversed(self.by) for member in each.members}
        try:
            data, held = capture.shown(text, answer.fields, answer.status, by)
        except capture.Unfit:
            raise self.withheld() from None
        if held:
            trail.record("capture", dict.fromkeys(by[member].name for member in held))
        for member, parts in held.items():
            for part in parts:
                captures.add(session, by[member].stored(part))
        values = [*chain.from_iterable(held.values()), *captures.met(self.admitted, trail.asked)]
        scrubber = Scrubber([("*", value) for value in values])
        fields, _ = scrubber.fields(capture.bare(answer.fields))
        return scrubber.text(hits.heard().text(data)), fields, scrubber.text(answer.reason)
