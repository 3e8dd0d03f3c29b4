"""The sandbox of `egret run` (Linux): what a command may see, say and reach, when it runs as the same user as Egret.

Code that runs as the same user as Egret could read its keys and walk past its proxy. So the command gets namespaces of
its own, made by bubblewrap without root:

- Files are an allow-list (`files`, `roots`, `writable`): a mask over a path vanishes when the host renames a new file
  over it, and what is not mounted at all cannot come back.
- The environment is made from nothing (`inherited`), system calls that leave a namespace are refused (`seccomp`), and
  PID 1 inside, whose environment is readable, never had the API key.
- The network has no way out (`namespace`): a helper outside joins it, sets addresses and nftables, makes the listeners
  and hands them out. What is accepted there goes on to the forward proxy with the session's token (`capture`), for
  names that `resolver` gave an address that stands for the name.

`levels` decides how much of this a machine gives, `protected` knows what there is to hide, `keeper` runs it all and
ends as the command does. docs/sandbox.md says what is refused and why.
"""
