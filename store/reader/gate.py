"""`Reader`: sessions to callers, callers to views, and a thread that watches the store."""

import hmac
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from store.cache import Bounded, Seen
from store.errors import Damaged, KeyMismatch, NotAuthenticated, StoreError, Tampered, Unavailable
from store.keys.keyring import PublicKeys, session_key
from store.keys.tokens import SESSION, keyed_hash, token_id
from store.keys.wrapping import Unlock
from store.lineage import is_in
from store.model import Caller, Scope
from store.reader.leases import Leases
from store.reader.session import Session, parse_session
from store.reader.source import Away, Look, Moved, Source
from store.reader.standing import Standings
from store.reader.values import Values
from store.reader.view import View
from store.reader.warm import Locker
from store.trust.index import Index
from store.trust.manifest import manifest_key, parse, session_key_of, stop_key

log = logging.getLogger("store.reader")
_TRIES = 10
_UNKNOWN = "The session token is unknown, expired or revoked."


class Reader:
    """Thread-safe; every method but `start` and `close` is cheap when nothing changed."""

    def __init__(
        self,
        url: str,
        data: Path,
        *,
        max_stale: float = 15.0,
        unbound_secrets: bool = False,
        unlock: Unlock | None = None,
        enroll: bool = False,
    ) -> None:
        self._public = PublicKeys.load(data)
        self._values = Values(data, self._public, unlock, self._look, self._alarm)
        self._session_key = session_key(data)
        self._source = Source(url, data, self._public, enroll=enroll)
        self._max_stale = max_stale
        self._unbound = unbound_secrets
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._proven = False
        self._fault: StoreError | None = None
        self._away = False
        self._told: tuple[int, bool] = (-1, False)
        self._callbacks: list[Callable[[], None]] = []
        self._sessions: Bounded[str, Seen[Session]] = Bounded(50_000)
        self._standings = Standings()
        self._indexes: Bounded[Scope, Seen[Index]] = Bounded(2_000)
        self._views: Bounded[str, View] = Bounded(50_000)
        self.leases = Leases(self._public, self._session_key, self._look, self._index)
        self.alarms = 0
        """How often something in the store did not verify, or the store was not to be had."""

    def start(self) -> None:
        """Check that the keys open this store, then watch it; raises `KeyMismatch`, `Damaged`.

        A store that is down is awaited.
        """
        try:
            self._refresh()
        except (KeyMismatch, Damaged):
            raise
        except Away as error:
            self._say_away(error)
        except StoreError as error:
            self._fail(error)
        self._thread = threading.Thread(target=self._watch, name="store-reader", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        self._source.close()

    @property
    def revision(self) -> int:
        """The revision that is believed now; -1 before the first."""
        return -1 if self._source.head is None else self._source.head.revision

    @property
    def fresh(self) -> bool:
        """Whether the view of the store may be acted on."""
        return self._fault is None and self._proven and time.monotonic() - self._source.advanced <= self._max_stale

    @property
    def age(self) -> float:
        """Seconds since the store last vouched for the view; before the first time, since long ago."""
        return time.monotonic() - self._source.advanced

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have `callback` called from the watching thread after the revision moved or freshness changed."""
        self._callbacks.append(callback)

    def caller(self, token: str) -> Caller:
        """Return who a session token stands for; raises `NotAuthenticated`, `Unavailable`, `Tampered`."""
        self._require_fresh()
        id_ = token_id(token, SESSION)
        keyed = keyed_hash(token, self._session_key) if token.isascii() else ""
        session = self._look(lambda look: self._session(look, id_)) if id_ is not None else None
        if session is None or not hmac.compare_digest(session.token, keyed):
            raise NotAuthenticated(_UNKNOWN)
        return self.view(session.caller).caller

    def view(self, caller: Caller) -> View:
        """Return what the caller may use now. The session is checked anew each time; raises as `caller` does."""
        if not self.fresh:
            self._require_fresh()
        now, head = time.time(), self._source.head
        view = self._views.get(caller.session)
        if view is None or head is None or view.revision != head.revision or view.until <= now:
            view = self._look(lambda look: self._make_view(look, caller.session, now))
        return view

    def locker(self, kid: bytes) -> Locker | None:
        """Return what encrypts for all processes that have an opening key; None where it is not at hand."""
        return self._values.locker(kid)

    def _make_view(self, look: Look, id_: str, now: float) -> View:
        before = self._views.pop(id_, None)
        session = self._session(look, id_)
        if session is None or session.caller.expires_at <= now:
            if before is not None:
                self._index(look, before.made_of[2][0].manifest.scope)  # its dataset may be gone as well: forget copies
            raise NotAuthenticated(_UNKNOWN)
        standing = self._standings.of(look, session, now)
        if standing is None:
            raise NotAuthenticated(_UNKNOWN)
        scope = session.caller.scope
        indexes = tuple(self._index(look, level) for level in scope.parents)
        place = indexes[0].manifest
        if not place.live or not is_in(session.document, place.born, {"sessions_era": place.sessions_era}):
            raise NotAuthenticated(_UNKNOWN)
        if before is not None and before.until > now and before.made_of == (session, standing, indexes):
            before.revision = self.revision  # nothing that it is made of has changed
            view = before
        else:
            view = View(session, standing, indexes, self.revision, self._values.open, unbound=self._unbound, now=now)
            view.prepare, view.lockers = self._values.prepare, self._values.locker
        self._views.keep(id_, view)
        return view

    def _session(self, look: Look, id_: str) -> Session | None:
        cached = self._sessions.look(id_)
        if cached is not None and cached.revision == self.revision:
            return cached.item
        known = cached.item.sha256 if cached is not None else None
        found = look.document(session_key_of(id_), known)
        if found is None:
            _ = look.connection  # it may have been opened since the last poll: ask the database before saying no
            self._sessions.pop(id_, None)
            return None
        sha256, body = found
        session = cached.item if cached is not None and body is None else parse_session(body or b"", sha256, id_)
        self._sessions.keep(id_, Seen(self.revision, session))
        return session

    def _index(self, look: Look, scope: Scope) -> Index:
        cached = self._indexes.look(scope)
        if cached is not None and cached.revision == self.revision:
            return cached.item
        known = cached.item.manifest.sha256 if cached is not None else None
        found = look.document(manifest_key(scope), known)
        if found is None:
            self._indexes.pop(scope, None)
            self._values.forget(cached.item.envelopes if cached is not None else ())
            raise NotAuthenticated(_UNKNOWN)
        sha256, body = found
        index = cached.item if cached is not None and body is None else Index(parse(body or b"", sha256, scope))
        if cached is not None and cached.item is not index:
            self._values.forget(cached.item.envelopes - index.envelopes)
        if look.document(stop_key(scope), "") is not None:
            raise NotAuthenticated(_UNKNOWN)  # something of it was taken away, and the manifest does not say so yet
        self._indexes.keep(scope, Seen(self.revision, index))
        return index

    def _look[T](self, work: Callable[[Look], T]) -> T:
        """Work on one consistent look; what does not verify raises an alarm, and refuses the one who asked."""
        for again in range(_TRIES):
            try:
                with Look(self._source) as look:
                    if again:
                        look.begin()
                    return work(look)
            except Moved:  # only while memory and database were both asked: the next look begins in the database
                continue
            except NotAuthenticated:
                raise
            except StoreError as error:
                self._alarm(error)
                raise
        raise Unavailable("The store changes faster than it can be read.")

    def _require_fresh(self) -> None:
        if self.fresh:
            return
        if isinstance(self._fault, Tampered):
            raise Tampered(self._fault.detail)
        raise Unavailable("There is no fresh view of the store.")

    def _refresh(self) -> None:
        with Look(self._source) as look:
            look.begin()  # also when memory would do: here the head is read anew
            if not self._proven:
                self._values.prove(look)
                self._proven = True
            self._fault, self._away = None, False

    def _alarm(self, error: StoreError) -> None:
        self.alarms += 1
        log.error("alarm: %s", error.detail)

    def _say_away(self, error: StoreError) -> None:
        """Raise the alarm once; what was believed last serves until it is stale."""
        if not self._away:
            self._alarm(error)
        self._away = True

    def _fail(self, error: StoreError) -> None:
        if self._fault is None or self._fault.detail != error.detail:
            self._alarm(error)
        self._fault = error

    def _watch(self) -> None:
        self._source.watcher = threading.get_ident()
        while not self._source.bell.wait(self._stop):
            try:
                if self._fault is not None or self._source.moved():
                    self._refresh()
            except Away as error:
                self._say_away(error)
            except StoreError as error:
                self._fail(error)
            except Exception:
                log.exception("alarm: the store's reader failed")
                self._fault = Unavailable("The reader failed.")
            self._values.age()
            self._tell()

    def _tell(self) -> None:
        now = (self.revision, self.fresh)
        if now == self._told:
            return
        self._told = now
        for callback in self._callbacks:
            try:
                callback()
            except Exception:
                log.exception("a subscriber of the store failed")
