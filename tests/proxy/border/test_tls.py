"""A context that shows a certificate is one of its own, and its key is in no file in clear, not for a moment."""

import ssl
import tempfile
from pathlib import Path

import pytest
import shown
from certificates import Authority

from proxy.border.tls import present, upstream_context


def test_no_file_has_the_key(tmp_path, monkeypatch):
    """What OpenSSL reads is encrypted, and gone afterwards, whether it takes it or not."""
    authority, folder, read = Authority(tmp_path), tmp_path / "tmp", []
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    parts = shown.credentials(authority, "client-a")
    other = shown.credentials(authority, "client-b")

    class Context(ssl.SSLContext):
        def load_cert_chain(self, path, *args, **kwargs):
            read.append(Path(path).read_bytes())
            super().load_cert_chain(path, *args, **kwargs)

    present(Context(ssl.PROTOCOL_TLS_CLIENT), parts["certificate"], parts["private_key"])
    with pytest.raises(ssl.SSLError):
        present(Context(ssl.PROTOCOL_TLS_CLIENT), parts["certificate"], other["private_key"])
    assert len(read) == 2 and [*folder.iterdir()] == []
    for each in (parts, other):
        assert not [line for line in shown.lines(each["private_key"]) for file in read if line in file]


def test_the_policy_is_everybodys(tmp_path):
    """One that shows a certificate verifies as the others do."""
    authority = Authority(tmp_path)
    context = upstream_context([authority.path])
    present(context, **shown.credentials(authority, "client-a"))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2 and not context.post_handshake_auth
