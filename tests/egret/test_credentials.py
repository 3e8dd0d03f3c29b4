"""egret.credentials: environment first, then what `egret login` kept; never a file that others can read."""

import pytest

from egret.credentials import Credentials, CredentialsError, find, forget, is_exposed, keep, path


@pytest.fixture
def environ(tmp_path, monkeypatch):
    """A home of its own, and no keyring."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    import keyring
    from keyring.backends import fail

    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    yield {"XDG_CONFIG_HOME": str(tmp_path)}
    keyring.set_keyring(before)


def test_the_environment_comes_first(environ):
    """Both variables together need no file."""
    keep(environ, Credentials("http://kept", "egk_kept"))
    found = find({**environ, "EGRET_URL": "http://given", "EGRET_API_KEY": "egk_given"})
    assert (found.url, found.key) == ("http://given", "egk_given")


def test_kept_and_forgotten(environ):
    """Without a keyring the key is in a file that only its owner reads; logout removes it."""
    assert keep(environ, Credentials("http://kept", "egk_kept")) == str(path(environ))
    assert path(environ).stat().st_mode & 0o777 == 0o600
    assert find(environ).key == "egk_kept"
    assert forget(environ) is True
    assert forget(environ) is False
    with pytest.raises(CredentialsError, match="egret login"):
        find(environ)


def test_a_kept_key_goes_to_no_other_server(environ):
    """EGRET_URL alone does not take the kept key elsewhere."""
    keep(environ, Credentials("http://kept", "egk_kept"))
    assert find({**environ, "EGRET_URL": "http://kept"}).key == "egk_kept"
    with pytest.raises(CredentialsError):
        find({**environ, "EGRET_URL": "http://evil"})


def test_a_file_that_others_can_read_is_refused(environ):
    """The key in it may have been read already."""
    keep(environ, Credentials("http://kept", "egk_kept"))
    path(environ).chmod(0o640)
    with pytest.raises(CredentialsError, match="can be read by others") as caught:
        find(environ)
    assert "egk_kept" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{}"])
def test_a_damaged_file(environ, text):
    """A sentence, not a traceback."""
    path(environ).parent.mkdir(parents=True)
    path(environ).write_text(text)
    path(environ).chmod(0o600)
    with pytest.raises(CredentialsError):
        find(environ)


def test_the_key_is_not_shown():
    """Not in a repr, which tracebacks print."""
    assert "egk_" not in repr(Credentials("http://x", "egk_canary"))


def test_clear_text_to_another_machine_is_noticed():
    """Loopback is fine, TLS is fine."""
    assert is_exposed("http://store:8700")
    assert not any(
        is_exposed(url) for url in ("https://store", "http://127.0.0.1:1", "http://localhost", "http://[::1]")
    )


class Ring:
    """A keyring that is there; `locked` refuses."""

    def __init__(self, locked):
        from keyring.backend import KeyringBackend

        kept = {}

        class Backend(KeyringBackend):
            priority = 5

            def get_password(self, service, username):
                return kept.get((service, username))

            def set_password(self, service, username, password):
                if locked:
                    from keyring.errors import KeyringLocked

                    raise KeyringLocked
                kept[service, username] = password

            def delete_password(self, service, username):
                kept.pop((service, username), None)

        self.backend, self.kept = Backend(), kept


@pytest.mark.parametrize("locked", [False, True])
def test_where_there_is_a_keyring_the_key_is_nowhere_else(environ, locked):
    """Also when it refuses: then nothing is kept, and the message says what to do."""
    import keyring

    ring = Ring(locked)
    keyring.set_keyring(ring.backend)
    if locked:
        with pytest.raises(CredentialsError, match="unlock it"):
            keep(environ, Credentials("http://127.0.0.1:8700", "egk_ring"))
        assert not path(environ).exists()
    else:
        assert keep(environ, Credentials("http://127.0.0.1:8700", "egk_ring")) == "the system's keyring"
        assert "egk_ring" not in path(environ).read_text()
        assert find(environ).key == "egk_ring"
