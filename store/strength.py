"""How hard a value is to guess: strong is 80 bits or more in one unbroken random run (spec 3). It is a pure judgement.

Whoever may ask whether a guess is right can find what is weak. So it decides how far a value is searched for, and an
upload is told of a weak one (`weak_value`). Only who has the value can judge it, and nothing of it is kept.

What is public or likely counts nothing and breaks a run: words, names and dates, hosts, the marks between parts,
prefixes that a provider gives to all its keys, headers of key files, the header and payload of a JWT. The estimate is
low on purpose: a value that is taken for weak is searched for at fewer hosts, one that is taken for strong at more.
"""

import itertools
import math
import re
from collections.abc import Iterator
from typing import Final

ENOUGH: Final = 80.0
"""Bits from which on a value is strong: nobody guesses it, however often asked."""

PART: Final = 1024
JUDGED: Final = 8 * PART
"""Bytes of a value that are looked at, and at once: some patterns here take time by the square of the length."""

_JWT: Final = re.compile(rb"eyJ[A-Za-z0-9_-]*\.(?:eyJ)?[A-Za-z0-9_-]*")
_UUID: Final = re.compile(rb"(?i)(?<![0-9a-f])[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_UUID_BITS: Final = 122.0
_HOST: Final = re.compile(rb"(?i)(?:[a-z][a-z0-9+.-]*://)?(?:[a-z0-9_-]+\.)+[a-z]{2,24}(?![A-Za-z0-9])(?::\d+)?")
_PUBLIC: Final = re.compile(
    rb"AIzaSy|AKIA|ASIA|AROA|GOCSPX|hvs\.|ATATT3xFfGF0|T3BlbkFJ"
    rb"|MII[A-Za-z0-9+/]{0,8}IBADANBgkqhkiG9w0BAQEFAASC[A-Za-z0-9+/]{0,4}wgg?[A-Za-z0-9+/]{1,3}(?:AgEAAo(?:IB|IC)[A-Za-z0-9+/]{2})?"
    rb"|MII[A-Za-z0-9+/]{1,2}[A-Za-z0-9+/]{2}IBAAKC[A-Za-z0-9+/]{2}EA|MI[A-Za-z0-9+/]{2}AgEA[A-Za-z0-9+/]{0,30}(?:BgcqhkjOPQIB|BgUrgQQA|BQYDK2Vw)[A-Za-z0-9+/]{0,16}"
    rb"|b3BlbnNzaC1rZXktdjEAAAAA[A-Za-z0-9+/]{0,46}"
)
_RUN: Final = re.compile(rb"[A-Za-z0-9]+|[\x80-\xff]+")
_MARKS: Final = re.compile(rb"[!-~]+")
_ODD: Final = re.compile(rb"[]!#$%^*()~[{}|;<>?`'\\]")
"""Marks that generators of passwords use, and that stand in no URL, path, date or list."""
_WORDS: Final = re.compile(rb"[A-Za-z]{5}|[0-9]{5}")
_SEVERAL: Final = 3
_BITS_OF_MARKS: Final = 5.5
_BITS_AT_MOST: Final = math.log2(58)
_LETTERS: Final = re.compile(r"[a-z]{5,}")
_FEW: Final = 0.55
_PAIRS: Final = (
    "abacadagaialamanaparasatavaybeblcacechcickcocrctdadedidoeaecedeeefelemeneresetevewexeyfffifogage"
    "ghgogrhahehihohticidieifigilinioirisitivkelaldlelilllolymamemimompnandnengninonsntobofolomonopor"
    "otouovowpapeplpoppprrardrerirorsrurysaseshsisospssstsutatethtitotrtyulunupurusutvaveviwhwoxays"
)
_COMMON: Final = frozenset(_PAIRS[at : at + 2] for at in range(0, len(_PAIRS), 2))
_KEYBOARD: Final = "qwertyuiop asdfghjkl zxcvbnm 1234567890 0123456789"
_ALPHABETS: Final = (
    (re.compile(rb"[0-9]+"), 10), (re.compile(rb"[0-9a-f]+|[0-9A-F]+"), 16), (re.compile(rb"[a-z0-9]+|[A-Z0-9]+"), 32),
    (re.compile(rb"[A-Za-z0-9]+"), 58),
)  # fmt: skip


def strong(value: bytes) -> bool:
    """Say whether nobody can guess a value. A long one is judged by its beginning, part by part."""
    parts = (value[at : at + PART] for at in range(0, min(len(value), JUDGED), PART))
    return any(found >= ENOUGH for part in parts for found in _estimates(part, ENOUGH))


def bits(value: bytes) -> float:
    """Return how many random bits there are, at least, in the longest unbroken run."""
    return max(_estimates(value), default=0.0)


def _estimates(value: bytes, least: float = 0.0) -> Iterator[float]:
    """Give the bits of each run that could have `least` of them: most of a text need not be looked at closely."""
    if b"-" in value and _UUID.search(value):
        yield _UUID_BITS
    if _most(value) < least:
        return
    rest = _JWT.sub(b" ", value)
    rest = _PUBLIC.sub(b" ", _HOST.sub(b" ", rest) if b"." in rest else rest)
    for run in _RUN.findall(rest):
        if len(run) * _BITS_AT_MOST < least:
            continue
        for piece in _pieces(run):
            if len(piece) * _BITS_AT_MOST >= least:
                yield _novel(piece) * math.log2(_alphabet(piece))
    for run in _MARKS.findall(rest):
        if len(run) * _BITS_OF_MARKS >= least and len(_ODD.findall(run)) >= _SEVERAL and not _WORDS.search(run):
            yield _novel(run) * _BITS_OF_MARKS


def _most(value: bytes) -> float:
    """Return more than any run can have: what repeats itself counts once (`_novel`)."""
    low = value.lower()
    return (len({low[at : at + 3] for at in range(len(low) - 2)}) + 2) * _BITS_AT_MOST


def _pieces(run: bytes) -> Iterator[bytes]:
    """Return what is left of a run of letters and digits where words are taken out."""
    text = run.decode("latin-1")
    begin = 0
    for found in _LETTERS.finditer(text.lower()):
        word = found[0]
        if len(word) == len(text) or _likely(word):
            yield run[begin : found.start()]
            begin = found.end()
    yield run[begin:]


def _likely(word: str) -> bool:
    pairs = [word[at : at + 2] for at in range(len(word) - 1)]
    return sum(pair in _COMMON for pair in pairs) >= len(pairs) * _share(len(word))


def _share(length: int) -> float:
    """Return how many of a word's pairs of letters must be common ones: more in a short one, which chance can make."""
    return _FEW + 0.35 / max(1, length - 4)


def _alphabet(piece: bytes) -> int:
    return next((size for pattern, size in _ALPHABETS if pattern.fullmatch(piece)), 16)


def _novel(run: bytes) -> int:
    """Count the characters that do not follow from those before: repetitions, sequences, rows of a keyboard."""
    low, seen, count = run.lower().decode("latin-1"), set[str](), 0
    for at, char in enumerate(low):
        three = low[max(0, at - 2) : at + 1]
        steps = [ord(other) - ord(one) for one, other in itertools.pairwise(three)]
        follows = len(steps) == 2 and steps[0] == steps[1] and abs(steps[0]) <= 1
        known = len(three) == 3 and (three in seen or three in _KEYBOARD)
        count += not (follows or known or low[at - 1 : at] == char)
        seen.add(three)
    return count
