"""The border: the only rooms in which a value exists.

An `Exchange` carries one admitted request to its upstream and the answer back, for every engine. What comes in from the
client has placeholders; `Outgoing` puts the values in as the request is written to a `Lane` of the upstream, `Incoming`
takes them out as the answer is read from it, before anything of the client's side sees it. The engine is a `Client`:
where the request's body comes from, and where the answer goes.

Why that is safe: a lane is the only thing that is ever given a value, lanes are made by the pool for the destination
that was decided on, at an address that was checked, over TLS that was verified for its name, and belong to one tenant.
Whatever goes wrong raises, and what was sent of a message that is not whole is cut so that it cannot look whole.
"""
