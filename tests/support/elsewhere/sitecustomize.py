"""For the proxies of an `egret serve` that has this folder in PYTHONPATH: every name is this machine, and its port 443 is TESTS_443.

So SDKs ask the names and the port that they always ask, and nothing that a test does leaves the machine.
"""

import os
import sys

if sys.orig_argv.count("proxy") and "TESTS_443" in os.environ:
    import ipaddress
    import socket

    import aiohappyeyeballs

    looked_up, connected = socket.getaddrinfo, aiohappyeyeballs.start_connection
    INSTEAD = {443: int(os.environ["TESTS_443"])}

    def numeric(host):
        try:
            return bool(ipaddress.ip_address(host))
        except ValueError:
            return host is None

    def getaddrinfo(host, port, *args, **kwargs):
        return looked_up(host if numeric(host) else "127.0.0.1", port, *args, **kwargs)

    async def start_connection(infos, **kwargs):
        there = [(*info[:4], (info[4][0], INSTEAD.get(info[4][1], info[4][1]), *info[4][2:])) for info in infos]
        return await connected(there, **kwargs)

    socket.getaddrinfo, aiohappyeyeballs.start_connection = getaddrinfo, start_connection
