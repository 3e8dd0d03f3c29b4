"""Pages for people, over the same vault as the API, on the same origin. No values exist here.

Why a page cannot show a value: the vault gives none. Why no other site can act for a person who is logged in: every
POST is checked for where it comes from (`guard`), the cookie is SameSite=Strict, HttpOnly and opaque, and no page may
be framed. Why a stored text cannot act: everything is escaped; the policy allows no script but our one file, which
makes no markup of text, and on pages where values or keys are entered none at all.

    logins   who is logged in, in memory: an opaque cookie to the id of a live API key
    confirming  the key asked again, before keys or members change
    once     what waits for the page after a form: a token, a key, what was done; sealed to that cookie
    names    ids to names; activity: rows of the log in words; lists: parts of lists, with signed cursors
    live     what our script asks for; assets: the files that pages name
    guard    same-origin check, form reading; multipart reads forms with files
    entered  several secrets of one form: rows, `.env`
    view     templates, headers
    routes_* pages and what their forms do
"""

from store.dashboard.app import mount

__all__ = ["mount"]
"""`mount(application, state)` adds the pages."""
