"""The tables of the schema, by what an edit of them could do. One that is in none of these decides: see `test_rows.py`."""

BELIEVED = {"head", "history", "nodes", "documents"}
"""What is verified itself."""

LISTS = {"sessions", "api_keys", "members", "member_projects", "group_members", "consumers", "groups"}
"""Lists of things that have a document of their own each; nothing signed is made of their rows."""

WORKING = {"marks", "spooled", "spools", "spendings", "webhooks"}
"""Repeatable requests, lines of use on their way and how far they were taken in, what was drawn from budgets, what webhooks were told: nothing signed
is made of them."""

LOG = {"audit"}
