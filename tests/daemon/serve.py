"""Osiris or Anubis in a process of its own, to be killed.

``python -m tests.daemon.serve osiris|anubis ROOT URL HEARTBEAT_S`` prints its events as JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from snfpipe.daemon.osiris import Event, Osiris
from tests.bench import make_bench


def say(event: Event) -> None:
    print(json.dumps(asdict(event), default=str), flush=True)


def main() -> None:
    who, root, url, heartbeat_s = sys.argv[1:]
    bench = make_bench(Path(root), url)
    one = Osiris(bench.project, bench.database, bench.engine, say, heartbeat_s=float(heartbeat_s))
    signal.signal(signal.SIGTERM, lambda _number, _frame: one.stop())
    if who == "osiris":
        one.begin()
        one.serve()
    elif one.wait():
        one.serve()


if __name__ == "__main__":
    main()
