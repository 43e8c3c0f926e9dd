#!/usr/bin/env python3
"""The second half of ./test: lints, builds, runs every suite, counts cases.

One configuration (opt) by default. --full adds the sanitizers, clang, the digest
comparison over builds, fuzzers, all planted bugs and long simulations, and writes
docs/TEST_RESULTS.md.
"""
import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import bazel_results  # noqa: E402
import cluster as local  # noqa: E402

# Simulated seeds of the ordinary and of the full run.
SEEDS, FULL_SEEDS = "1..300", "1..5000"
# Seeds that no run before had: one simulated hour, since each has 30 simulated seconds or more.
FRESH_SEEDS = 120
# Seeds whose digests are compared over the builds.
DIGEST_SEEDS = "1..24"
# Requests that both Quorate and etcd are sent in the full run: 100,000 a seed.
DIFFERENTIAL_SEEDS = "1,2"
# For how long each fuzzer looks for inputs that are not in its corpus.
FUZZ_SECONDS = 60
SIM = "bazel-bin/sim/quorate-sim"


class Report:
    """Counts cases and remembers one row a step for the summary."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.rows = []
        self.failures = []

    def add(self, step, passed, failed, seconds, detail=""):
        self.passed += passed
        self.failed += failed
        self.rows.append((step, passed, failed, seconds, detail))
        if failed:
            self.failures.append(f"{step}: {detail}" if detail else step)
        verdict = "ok" if not failed else "FAILED"
        print(f"--- {step}: {verdict}, {passed} passed, {failed} failed, {seconds:.0f} s"
              + (f" ({detail})" if detail else ""), flush=True)


def run(command, **options):
    """Runs a command with its output shown; returns its exit status."""
    return subprocess.run(command, **{"cwd": ROOT, "stdin": subprocess.DEVNULL, **options},
                          check=False).returncode


def tracked(*patterns):
    """Files of the project, tracked or new, that match; in order."""
    out = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(f for f in out.splitlines() if os.path.isfile(os.path.join(ROOT, f)))


def check(report, step, command, **options):
    """A step that is one case: it passes if the command exits with 0."""
    print(f"=== {step}", flush=True)
    start = time.monotonic()
    status = run(command, **options)
    report.add(step, int(status == 0), int(status != 0), time.monotonic() - start,
               "" if status == 0 else f"exit status {status}")
    return status == 0


def find_buildifier():
    found = shutil.which("buildifier")
    if found or not shutil.which("npm"):
        return found
    home = os.path.expanduser("~/.cache/quorate/npm")
    binary = os.path.join(home, "node_modules/.bin/buildifier")
    if not os.path.exists(binary):
        os.makedirs(home, exist_ok=True)
        run(["npm", "install", "--silent", "--prefix", home, "@bazel/buildifier@8.2.1"])
    return binary if os.path.exists(binary) else None


def lint(report):
    cpp = tracked("*.h", "*.cc")
    check(report, "lint: clang-format", ["clang-format-14", "--dry-run", "--Werror", *cpp])
    shell = [f for f in tracked() if re.match(rb"#!/bin/(ba)?sh", first_line(f))]
    check(report, "lint: shellcheck", ["shellcheck", *shell])
    python = [f for f in tracked() if f.endswith(".py") or b"python3" in first_line(f)[:40]]
    check(report, "lint: python", [sys.executable, "-m", "py_compile", *python],
          env={**os.environ, "PYTHONPYCACHEPREFIX": "/tmp/quorate-pycache"})
    check(report, "lint: tidy", [sys.executable, "tests/tidy/tidy.py"])
    planted_bugs_apply(report)
    buildifier = find_buildifier()
    build_files = tracked("*BUILD.bazel", "*.bzl", "WORKSPACE", "MODULE.bazel", "*.BUILD")
    if buildifier:
        check(report, "lint: buildifier", [buildifier, "-mode=check", "-lint=warn",
                                           "-warnings=-module-docstring,-native-cc-binary,"
                                           "-native-cc-library,-native-cc-test", *build_files])
    else:
        print("--- lint: buildifier: SKIPPED, neither buildifier nor npm is on this machine")


def planted_bugs_apply(report):
    """Each patch of a planted bug still fits the code; what it breaks is the full run's matter."""
    start = time.monotonic()
    stale = []
    for patch in tracked("tests/mutants/*.patch"):
        done = subprocess.run(["patch", "-p1", "--force", "--fuzz=0", "--dry-run", "-i", patch],
                              cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            stale.append(os.path.basename(patch))
            print(done.stdout)
    report.add("lint: planted bugs apply", int(not stale), int(bool(stale)),
               time.monotonic() - start, ", ".join(stale))


def first_line(path):
    with open(os.path.join(ROOT, path), "rb") as f:
        return f.readline()


def test_labels(targets):
    tests = " + ".join(f"tests({target})" for target in targets)
    return subprocess.run(["bazel", "query", f"({tests}) except attr(tags, manual, {tests})"],
                          cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=True).stdout.split()


def bazel_tests(report, config, targets=("//...",)):
    step = f"bazel test --config={config}"
    print(f"=== {step} {' '.join(targets)}", flush=True)
    start = time.monotonic()
    build = run(["bazel", "build", f"--config={config}", *targets])
    if build != 0:
        report.add(step, 0, 1, time.monotonic() - start, "the build failed")
        return False
    built = time.monotonic() - start
    with tempfile.TemporaryDirectory() as folder:
        events = os.path.join(folder, "events.json")
        status = run(["bazel", "test", f"--config={config}", "--keep_going",
                      "--test_summary=terse", f"--build_event_json_file={events}", *targets])
        passed, failed, names = bazel_results.count_cases(test_labels(targets), events)
    if status != 0 and failed == 0:
        failed, names = 1, [f"bazel test exited with {status}"]
    detail = f"build {built:.0f} s" + (": " + ", ".join(names[:10]) if names else "")
    report.add(step, passed, failed, time.monotonic() - start, detail)
    return failed == 0


def peer_cases(report):
    folder = os.path.join(ROOT, "tests/peer_cases/data")
    given = os.path.join(ROOT, "../shared/peer-cases/etcd-raft")
    for path in [folder] + ([given] if os.path.isdir(given) else []):
        print(f"=== peer cases {os.path.relpath(path, ROOT)}", flush=True)
        start = time.monotonic()
        done = subprocess.run(["bazel-bin/tests/peer_cases/raft_cases", path], cwd=ROOT,
                              stdout=subprocess.PIPE, text=True, check=False)
        lines = done.stdout.strip().splitlines()
        match = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1] if lines else "")
        if not match:
            print(done.stdout)
            report.add("peer cases", 0, 1, time.monotonic() - start, "no count at the end")
            continue
        if done.returncode != 0:
            print(done.stdout)
        report.add("peer cases", int(match[1]), int(match[2]), time.monotonic() - start)


def simulate(report, seeds):
    print(f"=== simulation {seeds}", flush=True)
    start = time.monotonic()
    junit = "/tmp/quorate-sim-junit.xml"
    if os.path.exists(junit):
        os.remove(junit)
    status = run([SIM, "run", "--seeds", seeds, "--jobs", "2", "--junit", junit])
    passed = failed = 0
    if os.path.exists(junit):
        for case in ElementTree.parse(junit).getroot().iter("testcase"):
            bad = case.find("failure") is not None
            failed += bad
            passed += not bad
    if status != 0 and failed == 0:
        failed = 1
    report.add(f"simulation {seeds}", passed, failed, time.monotonic() - start,
               "" if status == 0 else f"exit status {status}")


def fresh_seeds():
    first = random.SystemRandom().randrange(1, 2**40)
    return f"{first}..{first + FRESH_SEEDS - 1}"


def once_failing_seeds(report):
    """Schedules that once broke a rule, each with its story (tests/seeds)."""
    print("=== seeds that once failed", flush=True)
    start = time.monotonic()
    schedules = tracked("tests/seeds/*.txt")
    bad = [s for s in schedules
           if run([SIM, "replay", "--no-trace", "--schedule", s], stdout=subprocess.DEVNULL) != 0]
    report.add("seeds that once failed", len(schedules) - len(bad), len(bad),
               time.monotonic() - start, ", ".join(bad))


def external_example(report):
    """A workspace of its own that builds on this one: examples/external."""
    folder = os.path.join(ROOT, "examples/external")
    bazel = ["bazel", "--output_base=" + os.path.expanduser("~/.cache/quorate/external")]
    check(report, "examples/external: its tests", [*bazel, "test", "//..."], cwd=folder)
    check(report, "examples/external: its simulator", ["bazel-bin/tickets-sim", "1", "50"],
          cwd=folder)
    run([*bazel, "shutdown"], cwd=folder)


def digests(config):
    """Digest by seed as this build's replay prints it, and rows of studies."""
    if run(["bazel", "build", f"--config={config}", "//sim:quorate-sim"]) != 0:
        return None
    out = subprocess.run([SIM, "digest", "--seeds", DIGEST_SEEDS], cwd=ROOT,
                         stdout=subprocess.PIPE, text=True, check=False)
    if out.returncode != 0 or not out.stdout:
        return None
    rows = "/tmp/quorate-study-digest.csv"
    for study in ("figure16", "table6.4", "table6.6", "membership"):
        if run([SIM, "study", study, "--trials", "2", "--csv", rows],
               stdout=subprocess.DEVNULL) != 0:
            return None
        with open(rows, encoding="utf-8") as f:
            out.stdout += f.read()
    return out.stdout


def digest_comparison(report):
    print(f"=== digests of seeds {DIGEST_SEEDS} over builds", flush=True)
    start = time.monotonic()
    reference = digests("opt")
    different = [c for c in ("dbg", "asan", "clang") if digests(c) != reference]
    ok = reference is not None and not different
    report.add("digests equal in opt, dbg, asan, clang", int(ok), int(not ok),
               time.monotonic() - start, "differ: " + ", ".join(different) if different else "")


def differential(report):
    """Long comparisons with the newest etcd; a short one is among the suites."""
    if not shutil.which("go"):
        print("--- beside etcd 3.7: SKIPPED, Go is not on this machine")
        return
    check(report, f"beside etcd 3.7, seeds {DIFFERENTIAL_SEEDS}",
          ["bazel", "run", "--config=opt", "//tests/clients:differential", "--",
           "--etcd", "module", "--requests", "100000", "--seed", DIFFERENTIAL_SEEDS])
    check(report, "metrics beside etcd 3.7's",
          ["bazel", "run", "--config=opt", "//tests/clients:metrics", "--", "--etcd", "module"])


def notebook(report):
    """The notebook of docs/ over a fresh CSV."""
    csv = "/tmp/quorate-study.csv"
    if not check(report, "study figure16", [SIM, "study", "figure16", "--check", "--csv", csv]):
        return
    check(report, "notebook docs/studies.ipynb",
          ["/usr/bin/python3", "-m", "nbconvert", "--to", "html", "--execute",
           "--output-dir", "/tmp", "--output", "quorate-studies", "docs/studies.ipynb"],
          env={**os.environ, "QUORATE_STUDY_CSV": csv})


def real_clients(report, *arguments):
    """Real client libraries; what cannot be installed here is skipped loudly."""
    counts = "/tmp/quorate-clients.json"
    if os.path.exists(counts):
        os.remove(counts)
    print(f"=== real clients {' '.join(arguments)}", flush=True)
    start = time.monotonic()
    run(["bazel", "build", "--config=opt", "//server:quorate"])
    status = run([sys.executable, "tests/clients/run", "--json", counts, *arguments])
    rows = {}
    if os.path.exists(counts):
        with open(counts, encoding="utf-8") as f:
            rows = json.load(f)
    passed, failed, skipped = (sum(column) for column in zip(*rows.values(), (0, 0, 0)))
    if status != 0 and failed == 0:
        failed = 1
    detail = ", ".join(f"{name} {p}/{p + f}" + (f" and {s} skipped" if s else "")
                       for name, (p, f, s) in sorted(rows.items()))
    report.add("real clients", passed, failed, time.monotonic() - start,
               detail + (f"; {skipped} SKIPPED in all" if skipped else ""))


def at_length(report):
    """What the suites do with a bound, within far higher ones: a crash, an error, a flipped bit at
    every place, and sequences of commands."""
    names = ["tests/crash/crash_test", "tests/crash/fault_test",
             "tests/engine/replica/model_property_test"]
    run(["bazel", "build", "--config=opt", *(f"//{':'.join(n.rsplit('/', 1))}" for n in names)])
    for name in names:
        check(report, f"{os.path.basename(name)} with QUORATE_LONG=1", [f"bazel-bin/{name}"],
              env={**os.environ, "QUORATE_LONG": "1"})


def space_at_length(report):
    """What an hour of overwriting a million keys leaves on the disk."""
    run(["bazel", "build", "--config=opt", "//tests/server/node:space_test"])
    check(report, "space_test with QUORATE_LONG=1", ["bazel-bin/tests/server/node/space_test"],
          env={**os.environ, "QUORATE_LONG": "1"})


def kills_at_length(report):
    """A real member killed at 200 random moments under load."""
    run(["bazel", "build", "--config=opt", "//server:quorate"])
    check(report, "kill_test with QUORATE_LONG=1",
          [sys.executable, "tests/e2e/kill_test.py", "bazel-bin/server/quorate"],
          env={**os.environ, "QUORATE_LONG": "1"})


def fuzzers(report):
    """libFuzzer on every decoder of bytes from outside, beginning with what its corpus holds."""
    names = [os.path.basename(source).removesuffix("_fuzz.cc")
             for source in tracked("tests/fuzz/*_fuzz.cc")]
    targets = [f"//tests/fuzz:{name}_fuzz" for name in names]
    if not check(report, "fuzzers build", ["bazel", "build", "--config=fuzz", *targets]):
        return
    for name in names:
        with tempfile.TemporaryDirectory(prefix="quorate-fuzz-") as found:
            check(report, f"fuzzer {name}, {FUZZ_SECONDS} s",
                  [f"bazel-bin/tests/fuzz/{name}_fuzz", f"-max_total_time={FUZZ_SECONDS}",
                   "-timeout=20", f"-artifact_prefix=/tmp/quorate-fuzz-{name}-", found,
                   f"tests/fuzz/{name}"])


def full(report):
    bazel_tests(report, "asan", ["//tests/..."])
    bazel_tests(report, "tsan", ["//tests/io/...", "//tests/base/..."])
    bazel_tests(report, "clang")
    digest_comparison(report)
    fuzzers(report)
    check(report, "planted bugs", [sys.executable, "tests/mutants/run"])
    run(["bazel", "build", "--config=opt", "//sim:quorate-sim"])
    simulate(report, FULL_SEEDS)
    at_length(report)
    kills_at_length(report)
    space_at_length(report)
    notebook(report)
    differential(report)
    real_clients(report)
    check(report, "clang-tidy", ["tools/clang_tidy.sh"])


def commit():
    """What the tree is, as `git describe` says it; empty outside a repository."""
    return subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()


def write_results(report, seconds, tree):
    path = os.path.join(ROOT, "docs/TEST_RESULTS.md")
    with open(path, "w", encoding="utf-8") as f:
        f.write("# The last `./test --full`\n\n")
        f.write(f"Written by `tools/run_tests.py` on {time.strftime('%Y-%m-%d')} "
                f"at commit {tree or 'unknown'}; {os.cpu_count()} cores, {seconds / 60:.0f} minutes.\n\n")
        f.write("| step | passed | failed | seconds | remark |\n|---|---|---|---|---|\n")
        for step, passed, failed, took, detail in report.rows:
            f.write(f"| {step} | {passed} | {failed} | {took:.0f} | {detail} |\n")
        f.write(f"\n{report.passed} passed, {report.failed} failed\n")


def main():
    parser = argparse.ArgumentParser(prog="test", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true",
                        help="also sanitizers, clang, digests over builds, fuzzers, planted bugs, "
                             "long runs")
    parser.add_argument("--lint", action="store_true", help="only the lints")
    options = parser.parse_args()
    report = Report()
    tree = commit()
    start = time.monotonic()
    lint(report)
    if not options.lint:
        bazel_tests(report, "opt")
        peer_cases(report)
        simulate(report, SEEDS)
        simulate(report, fresh_seeds())
        once_failing_seeds(report)
        external_example(report)
        ports = ",".join(str(client) for client, _ in local.free_port_pairs(3))
        check(report, "a cluster through etcdctl, its leader killed",
              [sys.executable, "tools/run_cluster.py", "--binary", "bazel-bin/server/quorate",
               "--check", "--ports", ports])
        if not options.full:  # the one that Debian has; all of them in the full run
            real_clients(report, "--offline", "etcdctl-3.4")
        if options.full:
            full(report)
            write_results(report, time.monotonic() - start, tree)
    print("\ntime of each step:")
    for step, passed, failed, took, _ in report.rows:
        print(f"  {took:7.1f} s  {step}  ({passed} passed, {failed} failed)")
    print(f"  {time.monotonic() - start:7.1f} s  in all")
    for failure in report.failures:
        print("FAILED " + failure)
    print(f"{report.passed} passed, {report.failed} failed", flush=True)
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
