"""What a version's envelope is bound to, by what is signed of it."""

from store.keys.envelope import Binding
from store.model import Kind
from store.trust.entry import EntryState, VersionState


def binding_of(store_id: bytes, state: EntryState, version: VersionState) -> Binding:
    """Return a version's binding."""
    kind, kid = Kind(state.kind), bytes.fromhex(version.kid)
    name = version.name or state.name
    number, credential = version.number, version.credential
    return Binding(
        store_id, kid, state.scope, kind, state.environment, name, number, *version.sealed, credential=credential
    )
