"""Runs egret.supervisor over stand-in children in a process of its own: `python supervised.py NAME:PLANE:MODE…`."""

import sys
from pathlib import Path

from egret import supervisor
from egret.children import Place, slots
from egret.kinds import Address
from egret.listeners import bind
from egret.settings import environment

STANDIN = str(Path(__file__).with_name("standin.py"))


def main() -> int:
    places, modes = [], {}
    for spec in sys.argv[1:]:
        name, plane, copies, mode = spec.split(",")
        modes[name] = mode
        places.append(Place(name, plane, (), bind(name, Address("127.0.0.1", 0), None, int(copies))))

    def close():
        for place in places:
            place.listener.close()

    def announce():
        print("ready " + " ".join(f"{place.name}={place.listener.url}" for place in places), flush=True)

    supervisor.LAST = 0.5
    found = slots(places, lambda place: [sys.executable, STANDIN, modes[place.name]])
    return supervisor.Supervisor(found, environment(), announce, close, drain=2.5).run()


sys.exit(main())
