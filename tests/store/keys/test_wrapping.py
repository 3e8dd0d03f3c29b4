"""Opening keys at rest: wrapped by a passphrase or a KMS, opened by a data plane alone, told plainly when they are not."""

import base64
import json
import os
import secrets

import boto3
import inside
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from moto import mock_aws
from stores import CANARY, Store, secret, use
from upstream import Upstream, response

from store.errors import KeyMismatch, Unavailable
from store.keys import wrapping
from store.keys.rewrap import list_files, replace, rewrap
from store.keys.wrapping import About, Unlock, passphrase
from store.keys.wrapping.aws import AwsKms
from store.keys.wrapping.passphrase import Passphrase
from store.keys.wrapping.vault import VaultTransit
from store.model import Kind
from store.operator.reseal import new_opening_key, reseal
from store.vault import Vault

WORDS = b"correct horse battery staple"
SEED, ABOUT = bytes(range(32)), About(b"s" * 16, b"k" * 8)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Argon2id with little memory: what is tested here is not its slowness."""
    monkeypatch.setattr(passphrase, "MEMORY", 64)


@pytest.fixture
def kms(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        key = boto3.client("kms", region_name="eu-central-1").create_key()["KeyMetadata"]["Arn"]
        yield AwsKms(key), Unlock()


class Transit(Upstream):
    """Vault's transit engine as it is in dev mode: one AES-GCM key, associated data, a token."""

    def __init__(self):
        self.key, self.token = AESGCM(secrets.token_bytes(32)), "hvs.token"
        super().__init__(None, {b"/v1/transit/": self.answer})

    def answer(self, request, conn):
        if request.header("X-Vault-Token") != self.token.encode():
            return response(b'{"errors": ["permission denied"]}', status=b"403 Forbidden")
        body = json.loads(request.body)
        bound = base64.b64decode(body.get("associated_data", ""))
        if request.target == b"/v1/transit/encrypt/egret":
            nonce = secrets.token_bytes(12)
            sealed = nonce + self.key.encrypt(nonce, base64.b64decode(body["plaintext"]), bound)
            data = {"ciphertext": "vault:v1:" + base64.b64encode(sealed).decode()}
        else:
            sealed = base64.b64decode(body["ciphertext"].removeprefix("vault:v1:"))
            try:
                plain = self.key.decrypt(sealed[:12], sealed[12:], bound)
            except InvalidTag:
                return response(b'{"errors": ["cipher: message authentication failed"]}', status=b"400 Bad Request")
            data = {"plaintext": base64.b64encode(plain).decode()}
        return response(json.dumps({"data": data}).encode())


@pytest.fixture
def transit():
    with Transit() as server:
        token = lambda: server.token  # noqa: E731
        yield VaultTransit(server.url, "transit", "egret", token), Unlock(vault_token=token)


@pytest.fixture
def words():
    return Passphrase(lambda: WORDS), Unlock(passphrase=lambda: WORDS)


@pytest.fixture(params=["words", "kms", "transit"])
def way(request):
    return request.getfixturevalue(request.param)


def test_a_key_comes_back_as_it_was(way):
    """Wrapped and unwrapped, by each method; the file holds no byte of the key and says how to open it."""
    method, unlock = way
    file = wrapping.wrap(method, SEED, ABOUT)
    assert wrapping.is_wrapped(file) and not wrapping.is_wrapped(SEED)
    assert SEED not in file and base64.b64encode(SEED) not in file and SEED.hex().encode() not in file
    assert wrapping.unwrap(file, unlock) == SEED
    assert wrapping.wrap(method, SEED, ABOUT) != file


@pytest.mark.parametrize("member", ["store_id", "kid", "ciphertext"])
def test_files_cannot_be_exchanged(way, member):
    """Another store's id, another key's, another ciphertext: closed, by each method."""
    method, unlock = way
    document = json.loads(wrapping.wrap(method, SEED, ABOUT))
    other = json.loads(wrapping.wrap(method, SEED[::-1], About(b"t" * 16, b"l" * 8)))
    with pytest.raises(KeyMismatch):
        wrapping.unwrap(json.dumps({**document, member: other[member]}).encode(), unlock)


def test_no_byte_of_a_wrapped_file_can_be_changed(words):
    """Every parameter and every bit of the ciphertext counts; what remains is damaged, never another key."""
    method, unlock = words
    document = json.loads(wrapping.wrap(method, SEED, ABOUT))
    for name, value in document.items():
        for changed in (value + 1 if isinstance(value, int) else value[:-4] + "0" * 4, None, "", [], -1):
            if changed != value:
                with pytest.raises(KeyMismatch):
                    wrapping.unwrap(json.dumps({**document, name: changed}).encode(), unlock)
        with pytest.raises(KeyMismatch):
            wrapping.unwrap(json.dumps({key: document[key] for key in document if key != name}).encode(), unlock)
    for junk in (b"{}", b"{", b"[]" * 20, b"{\xff", b'{"format": "egret/wrapped-key/v9"}'):
        with pytest.raises(KeyMismatch):
            wrapping.unwrap(junk, unlock)


def test_a_file_cannot_ask_for_all_memory(words):
    """Parameters of a planted file are bounded before they are followed."""
    method, unlock = words
    document = json.loads(wrapping.wrap(method, SEED, ABOUT))
    for name, value in (("memory_kib", 1 << 40), ("passes", 1 << 30), ("lanes", 1 << 20)):
        with pytest.raises(KeyMismatch, match="refuses"):
            wrapping.unwrap(json.dumps({**document, name: value}).encode(), unlock)


def test_wrong_words(words):
    """A wrong passphrase, a short new one, none at all: a sentence, without the words."""
    file = wrapping.wrap(words[0], SEED, ABOUT)
    with pytest.raises(KeyMismatch, match="does not open") as caught:
        wrapping.unwrap(file, Unlock(passphrase=lambda: b"canary-words"))
    assert "canary" not in str(caught.value)
    with pytest.raises(KeyMismatch, match=r"opening\.passphrase_file"):
        wrapping.unwrap(file, Unlock())
    with pytest.raises(KeyMismatch, match="at least"):
        wrapping.wrap(Passphrase(lambda: b"short"), SEED, ABOUT)


def test_a_kms_that_refuses(kms):
    """A key that is gone is told as that, and is not waited for."""
    arn = json.loads(wrapping.wrap(kms[0], SEED, ABOUT))["key_id"]
    gone = AwsKms(arn[:-4] + "0000")
    with pytest.raises(KeyMismatch, match="NotFoundException"):
        gone.wrap(SEED, ABOUT)


def test_a_kms_that_does_not_answer(monkeypatch, transit):
    """Nobody there is `Unavailable`, for a later start may succeed; a lost token is not."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Unavailable):
        AwsKms("arn:aws:kms:eu-central-1:123456789012:key/x").wrap(SEED, ABOUT)
    with pytest.raises(Unavailable):
        VaultTransit("http://127.0.0.1:1", "transit", "egret", lambda: "t").wrap(SEED, ABOUT)
    file = wrapping.wrap(transit[0], SEED, ABOUT)
    with pytest.raises(KeyMismatch, match="status 403"):
        wrapping.unwrap(file, Unlock(vault_token=lambda: "other"))
    with pytest.raises(KeyMismatch, match="vault_token_file"):
        wrapping.unwrap(file, Unlock())
    for url, mount, key in (("ftp://x", "m", "k"), ("http://x/y", "m", "k"), ("http://x", "../m", "k?"), ("http://x", "", "k")):  # fmt: skip
        with pytest.raises(KeyMismatch):
            VaultTransit(url, mount, key, None)


def test_a_store_with_a_wrapped_key(store, way):
    """The data plane opens with what it was given, and refuses to start without; the control plane notices nothing."""
    method, unlock = way
    store.dataset(secret())
    (kid,) = rewrap(store.data, Unlock(), method)
    assert [(each.method, each.kid) for each in list_files(store.data)] == [(method.name, kid)]
    if unlock != Unlock():
        with pytest.raises(KeyMismatch):
            store.reader()
    reader = store.reader(unlock=unlock)
    assert [each.value.reveal() for each in reader.view(store.caller(reader)).values()] == [CANARY]
    Vault.open(store.url, store.data).close()
    reader.close()
    rewrap(store.data, unlock, None)
    store.reader().close()


def test_a_rotation_of_a_wrapped_key(store, words):
    """The new key is wrapped alike; a running data plane picks it up; the wrong words rotate nothing."""
    method, unlock = words
    store.dataset(secret())
    rewrap(store.data, Unlock(), method)
    reader = store.reader(unlock=unlock)
    caller = store.caller(reader)
    with pytest.raises(KeyMismatch):
        new_opening_key(store.data, Unlock(passphrase=lambda: b"other words"))
    assert len(list_files(store.data)) == 1
    store.vault.sealing_keys.register(store.owner, new_opening_key(store.data, unlock))
    assert [each.method for each in list_files(store.data)] == ["passphrase"] * 2
    for batch in reseal(store.url, store.data, unlock):
        store.vault.sealing_keys.take_resealed(store.owner, batch)
    reader._refresh()
    grant = reader.view(caller).resolve(Kind.SECRET, "API_KEY", use())
    assert grant.open().reveal() == CANARY
    rewrap(store.data, unlock, Passphrase(lambda: b"other words entirely"))
    with pytest.raises(KeyMismatch):
        store.reader(unlock=unlock)
    reader.close()


def test_a_file_under_another_name(store, words):
    """A wrapped file whose id says one key and whose content is another does not start a data plane."""
    rewrap(store.data, Unlock(), words[0])
    (each,) = list_files(store.data)
    raw = wrapping.wrap(words[0], SEED, About(store.vault._gate.keys.public.store_id, bytes.fromhex(each.kid)))
    replace(each.path, raw)
    with pytest.raises(KeyMismatch, match="another key than it says"):
        store.reader(unlock=words[1])


def test_a_replaced_file_leaves_nothing(tmp_path):
    """The old bytes are overwritten unless a backup links to them; the new file is private; a stale start is cleared."""
    path, link = tmp_path / "opening.key", tmp_path / "backup"
    path.write_bytes(SEED)
    link.hardlink_to(path)
    (tmp_path / ".opening.key.new").write_bytes(b"half")
    replace(path, b"new")
    assert (path.read_bytes(), link.read_bytes(), path.stat().st_mode & 0o777) == (b"new", SEED, 0o600)
    with path.open("rb") as held:
        replace(path, b"newer")
        assert held.read() == b"\0\0\0"


def egret(*arguments, **environ):
    return inside.egret("keyring", *arguments, **environ)


def pipe(data: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def test_the_commands(tmp_path):
    """wrap, files, rotate, wrap anew, unwrap: passphrases by descriptor and file, and nothing of them printed."""
    store = Store.make(tmp_path / "data")
    store.dataset(secret())
    folder = ("--data", store.data)
    first, second = pipe(WORDS + b"\n"), pipe(b"other words entirely")
    file = tmp_path / "words"
    file.write_bytes(WORDS + b"\n")
    file.chmod(0o600)
    shown = [egret("wrap", *folder), egret("wrap", *folder, "--new-passphrase-fd", first)]
    assert [done.returncode for done in shown] == [2, 0], shown[1].stderr
    assert egret("rotate", *folder).returncode == 1
    rotated = egret("rotate", *folder, EGRET_OPENING__PASSPHRASE_FILE=str(file))
    assert (rotated.returncode, "re-sealed 1 of 1" in rotated.stderr) == (0, True), rotated.stderr
    listed = egret("files", *folder).stdout.splitlines()
    assert [line.split("\t")[1] for line in listed] == ["passphrase", "passphrase"]
    changed = egret("wrap", *folder, "--new-passphrase-fd", second, EGRET_OPENING__PASSPHRASE_FILE=str(file))  # fmt: skip
    assert changed.returncode == 0, changed.stderr
    assert egret("unwrap", *folder, EGRET_OPENING__PASSPHRASE_FILE=str(file)).returncode == 1
    file.chmod(0o644)
    done = egret("unwrap", *folder, EGRET_OPENING__PASSPHRASE_FILE=str(file))
    assert (done.returncode, "chmod 600" in done.stderr) == (1, True)
    second = pipe(b"other words entirely\n")
    assert egret("unwrap", *folder, "--passphrase-fd", second).returncode == 0
    assert all("words" not in done.stdout + done.stderr for done in (*shown[1:], rotated, changed))
    store.reader().close()
    store.close()
    for descriptor in (first, second):
        os.close(descriptor)
