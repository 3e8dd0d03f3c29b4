"""XML of STS: what is read, what is written anew, and that what is not plainly that is not believed."""

import xml.etree.ElementTree as ET

import pytest
from draw import Draw
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import sts
from proxy.core.trading import Unfit

SECRET, TOKEN = Draw("sts").letters(40), Draw("sts token").base64(300)
KEY = f"<AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>"
TEXT = f'<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>{KEY}</Credentials>@</AssumeRoleResult></AssumeRoleResponse>'
TOLD = "<GetCallerIdentityResponse><GetCallerIdentityResult>@</GetCallerIdentityResult></GetCallerIdentityResponse>"


def seal(value):
    return "#{SECRETS.X.sealed}"


def read(text, status=200):
    data, parts = sts.replaced(text.encode(), status, seal)
    return data.decode(), [part.reveal().decode() for part in parts]


@pytest.mark.parametrize("call", sorted(sts.HANDS_OUT))
def test_each_call_that_gives_a_key(call):
    """Its secret parts are kept; the client has a placeholder and fillers, and the rest as it was."""
    said, parts = read(TEXT.replace("AssumeRole", call).replace("@", "<A>b</A>"))
    assert parts == [SECRET, TOKEN]
    found = {each.tag.partition("}")[2]: each.text for each in ET.fromstring(said).iter()}
    assert [found[name] for name in sts.PARTS] == ["#{SECRETS.X.sealed}", "egret", "egret"] and found["A"] == "b"


def test_what_is_sealed_is_a_key():
    """As a secret of the kind aws has it."""
    sealed = []
    sts.replaced(TEXT.replace("@", "").encode(), 200, lambda value: sealed.append(value) or "x")
    assert sealed[0].reveal().decode() == (
        f'{{"access_key_id": "ASIAIOSFODNN7EXAMPLE", "secret_access_key": "{SECRET}", "session_token": "{TOKEN}"}}'
    )


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_text_is_what_an_xml_reader_reads(text):
    """Whatever stands in an element, we read and write it as a reader of XML does, or do not believe it."""
    try:
        said, _ = read(TOLD.replace("@", f"<A>{text}</A>"))
    except Unfit:
        return
    ours = ET.fromstring(said)
    theirs = ET.fromstring(TOLD.replace("@", f"<A>{text}</A>"))
    shape = lambda root: [(each.tag, each.text if not len(each) else None) for each in root.iter()]  # noqa: E731
    assert shape(ours) == shape(theirs)


PIECES = ["<A>", "</A>", "<B/>", "<B />", "x", " ", "&lt;", "&#60;", "&#x3C;", "&a;", "<!--", "-->", "<![CDATA[", "]]>", "<?a?>", "<!DOCTYPE a>", "<a:b>", "</a:b>", "<A b='c'>", "SessionToken", "<SessionToken>", "</SessionToken>", "&#0;", "&#xD800;", "<", ">", "&", "\0"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_it_believes_nothing_that_a_reader_of_xml_refuses(text):
    """Nor does it write what one reads otherwise; and no element named as a part of a key comes through."""
    try:
        said, parts = read(TOLD.replace("@", text))
    except Unfit:
        return
    assert not parts and "<SessionToken" not in said
    ours, theirs = (ET.fromstring(each) for each in (said, TOLD.replace("@", text)))
    shape = lambda root: [(each.tag, None if len(each) else (each.text or "")) for each in root.iter()]  # noqa: E731
    assert shape(ours) == shape(theirs)


UNFIT = {
    "nothing": "", "text": "x", "two roots": TOLD + TOLD, "not ended": TOLD[:-5], "another root": TOLD.replace("CallerIdentity", "Other"),
    "no Response": TOLD.replace("Response>", ">"), "a key where there is none": TOLD.replace("@", KEY), "no key": TOLD.replace("GetCallerIdentity", "AssumeRole"),
    "two results": TEXT.replace("</AssumeRoleResponse>", "<AssumeRoleResult/></AssumeRoleResponse>"),
    "another result": TEXT.replace("AssumeRoleResult", "GetSessionTokenResult"), "a short secret": TEXT.replace(SECRET, SECRET[:-1]),
    "a word for a token": TEXT.replace(TOKEN, "the"), "an element in a part": TEXT.replace(TOKEN, f"<A>{TOKEN}</A>"),
    "another namespace": TEXT.replace("sts.amazonaws.com", "evil.example"), "another encoding": f"<?xml version='1.0' encoding='utf-16'?>{TEXT}",
    "standing alone": f"<?xml version='1.0' standalone='yes'?>{TEXT}", "deep": TOLD.replace("@", "<A>" * 20 + "</A>" * 20),
    "text beside elements": TOLD.replace("@", "x<A/>"), "text after elements": TOLD.replace("@", "<A/>x"), "text before the root": "x" + TOLD,
}  # fmt: skip


@pytest.mark.parametrize("why", UNFIT)
def test_what_is_not_believed(why):
    """Of any status."""
    for status in (200, 400):
        with pytest.raises(Unfit):
            read(UNFIT[why], status)


def test_errors():
    """One without a key passes, and is one by its status and its root alone."""
    error = "<ErrorResponse><Error><Message>a &amp; b</Message></Error></ErrorResponse>"
    assert read(error, 403) == (error, [])
    for text, status in ((error, 200), (TOLD, 403), (error.replace("a &amp; b", KEY), 403)):
        with pytest.raises(Unfit):
            read(text, status)


def test_what_cannot_be_sealed_is_not_shown():
    """A key that is too long, or where there is no opening key."""

    def fails(_):
        raise ValueError("not sealed")

    with pytest.raises(Unfit):
        sts.replaced(TEXT.encode(), 200, fails)


@pytest.mark.parametrize(("said", "expected"), [([b"text/xml"], True), ([b"Application/XML ; charset=utf-8"], True), ([b"text/xml", b"text/xml"], False), ([], False), ([b"text/xmlx"], False), ([b"application/json"], False)])  # fmt: skip
def test_what_says_that_it_is_xml(said, expected):
    """Once, and plainly."""
    assert sts.is_xml(said) is expected
