"""Who asks, and may it: everything that is decided about a tunnel or a request before a value is near.

`admit` is the only door; what it returns was counted against a budget and is closed by whoever carries it.
"""
