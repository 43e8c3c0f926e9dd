"""Runs the compiled storage suites and reports each of their tests as a case."""
import re
import subprocess
import sys

process = subprocess.Popen([sys.argv[1], "-test.v", "-test.timeout", "10m"], text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
words = {"PASS": "ok", "FAIL": "not ok", "SKIP": "skip"}
said = []  # since the last verdict
for line in process.stdout:
    # Groups are not counted beside their tests; tests within tests are.
    verdict = re.match(r"\s*--- (PASS|FAIL|SKIP): (\S+/\S+|TestHealth) ", line)
    if not verdict:
        said.append(line.strip())
        continue
    why = "" if verdict[1] == "PASS" else ": " + " / ".join(said[-4:])
    print(f"{words[verdict[1]]} {verdict[2]}{why}", flush=True)
    said = []
sys.exit(process.wait())
