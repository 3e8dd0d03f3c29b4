"""The way back: values become placeholders again, streaming.

What comes back is searched for every value of the dataset, in every form an honest server might echo it in: as it is,
escaped for JSON, URLs, forms or HTML (also one inside the other, also character by character), in hex, in base64 at any
alignment. A `Scrubber` holds the search, which is immutable and shared; each body, message or text has a `Stream` of
its own. An adapter sends nothing on that has not come out of here, and where a body cannot be searched it sends none.

Not found, and documented as such: transformations by somebody who means to hide the value (reversed, encrypted, spread
over several messages), and values under eight bytes.
"""

from proxy.core.scrub.body import BodyScrub
from proxy.core.scrub.fields import drop_validators, searchable
from proxy.core.scrub.scrubber import NOTHING, MessageScrub, Scrubber

__all__ = ["NOTHING", "BodyScrub", "MessageScrub", "Scrubber", "drop_validators", "searchable"]
