"""A stand-in for the admin API that takes sealed puts and opens them: for tests of what a client sends."""

import base64
import hashlib
import json

from upstream import Upstream, response

from store.keys.envelope import Binding, Envelope, key_id
from store.keys.keyring import PublicKeys
from store.keys.opening import Opener, opening_keys
from store.keys.sealing import sign_envelope
from store.kinds import Credential
from store.model import Kind, Scope
from store.trust.signing import Verifier, Writer

_SEED, _STORE = b"\x07" * 32, b"\x01" * 16
_WRITER = Writer(b"\x02" * 32)
PUBLIC = PublicKeys(_STORE, opening_keys(_SEED)[1], Verifier(_WRITER.public))


class OpeningServer(Upstream):
    """Knows no secret yet; every put is the first version of one of the project `default`."""

    def __init__(self):
        super().__init__(None, {b"/": self._answer})
        self.more: dict[str, object] = {}
        """What the answer to a put says besides."""

    def _answer(self, request, conn):
        if request.target == b"/sealing-key":
            return response(json.dumps({**PUBLIC.document(), "organisation": "default"}).encode())
        if request.head.startswith(b"GET "):
            return response(b'{"code": "not_found", "detail": "None."}', status=b"404 Not Found")
        return response(json.dumps({"name": "KEY", "version": 1, "state": "active", **self.more}).encode())

    @property
    def puts(self):
        return [request for request in self.log if request.head.startswith(b"PUT ")]

    def opened(self) -> str:
        """The value of the one put, without rules of its own."""
        (request,) = self.puts
        body = json.loads(request.body)
        envelope = base64.b64decode(body["sealed"])
        kid = key_id(PUBLIC.sealing)
        where = Scope("default", "default")
        binding = Binding(
            _STORE,
            kid,
            where,
            Kind.SECRET,
            "",
            body["name"],
            1,
            [],
            ["body", "header", "message", "url"],
            credential=Credential(body.get("kind", "static"), body.get("parameters", {})),
        )
        assert Envelope.unpack(envelope).kid == kid
        assert body["binding"] == hashlib.sha256(binding.info()).hexdigest()
        opener = Opener([_SEED], _WRITER.verifier)
        return opener.open(envelope, sign_envelope(_WRITER, envelope, binding), binding).reveal().decode()
