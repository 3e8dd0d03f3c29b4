"""Runs the commands of a JSON list on stdin one after the other; prints [exit code, stdout, stderr] of each as JSON."""

import json
import subprocess
import sys

results = []
for command in json.load(sys.stdin):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=40)
        results.append([done.returncode, done.stdout, done.stderr])
    except subprocess.TimeoutExpired:
        results.append([-1, "", "timed out"])
print(json.dumps(results))
