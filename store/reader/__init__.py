"""The read gate: the only door of the data plane. Verifies everything, opens values one at a time, fails closed.

What is believed: the head (signed by the pinned writer, not older than `max_stale`, never lower than the high-water
mark), what its root vouches for (manifests, sessions), and envelopes by the hash in their manifest, by the writer's
signature, and by opening for exactly their binding. Loaded lazily: memory grows with what is in use.
"""

from store.keys.keyring import trust_group
from store.reader.captured import MAX_CAPTURED, CapturedGrant, Capturing, captures_keys
from store.reader.gate import Reader
from store.reader.leases import Leases, Standing
from store.reader.view import StoredGrant, View
from store.reader.warm import Locker

__all__ = [
    "MAX_CAPTURED",
    "CapturedGrant",
    "Capturing",
    "Leases",
    "Locker",
    "Reader",
    "Standing",
    "StoredGrant",
    "View",
    "captures_keys",
    "trust_group",
]
