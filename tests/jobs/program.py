"""A quick program for tests: files of one FITS block whose bytes follow from values and inputs.

SNF_TEST_BEHAVIOUR (JSON in the environment): ``fail``, ``silent``, ``unmade`` (items), ``exit``,
``sleep_s``, ``salt``, ``log`` (a line a start).
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

if "--version" in sys.argv:
    print(f"program {os.environ.get('SNF_TEST_VERSION', '1.0.0')}")
    sys.exit()
told = json.loads(os.environ.get("SNF_TEST_BEHAVIOUR", "{}"))
work = json.loads(Path(sys.argv[sys.argv.index("--worklist") + 1]).read_text())
if "log" in told:
    with open(told["log"], "a") as log:
        log.write(os.environ["SNF_JOB"] + "\n")
time.sleep(told.get("sleep_s", 0))
failed = False
with open(sys.argv[sys.argv.index("--results") + 1], "a") as results:
    for item in work["items"]:
        name = item["item"]
        if name in told.get("silent", ()):
            continue
        bad = name in told.get("fail", ())
        failed |= bad
        for role, output in item["outputs"].items() if not bad else ():
            if name not in told.get("unmade", ()):
                content = json.dumps([role, name, item["values"], told.get("salt", "")])
                digest = hashlib.sha256(content.encode()).hexdigest()
                Path(output).write_text(("SIMPLE  = " + digest).ljust(2880))
        entry = {"item": name, "ok": not bad, "reason": "told to fail" if bad else "",
                 "outputs": [] if bad else list(item["outputs"]), "values": {"mean": 1.5},
                 "quality": told.get("quality", 1), "flags": told.get("flags", [])}  # fmt: skip
        results.write(json.dumps(entry) + "\n")
        results.flush()
sys.exit(told.get("exit", int(failed)))
