"""Runs the commands of a JSON list on stdin, three at a time; prints [exit code, stdout, stderr] of each as JSON."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

QUIET = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}


def run(command):
    try:
        done = subprocess.run(command, timeout=120, **QUIET)
        return [done.returncode, done.stdout, done.stderr]
    except subprocess.TimeoutExpired:
        return [-1, "", "timed out"]
    except OSError as error:
        return [-1, "", str(error)]


with ThreadPoolExecutor(3) as pool:
    print(json.dumps(list(pool.map(run, json.load(sys.stdin)))))
