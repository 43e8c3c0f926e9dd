#!/usr/bin/env python3
"""The second half of ./run: a local cluster, real input through it, a killed leader.

Exit status: 0 all went as it should, 1 something did not, 2 usage.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster as local  # noqa: E402

# All keys of the demonstration; anything else in the store is left alone.
DEMO = "demo/"
DEFAULT_CLIENT_PORTS = [2379, 22379, 32379, 42379, 52379, 62379, 12379]


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="run", description="Builds Quorate, starts a local cluster, shows that it works.")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--members", type=int, choices=[1, 3, 5, 7], default=3)
    parser.add_argument("--dir", help="where data and logs go (default: quorate-data here; with "
                        "--check a temporary directory)")
    parser.add_argument("--ports", help="client ports, comma separated; each peer port is the "
                        "next one (default: 2379,22379,32379,...)")
    parser.add_argument("--check", action="store_true", help="stop by itself: exit 0 or 1")
    parser.add_argument("--arguments-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.ports is None:
        clients = DEFAULT_CLIENT_PORTS[:options.members]
    else:
        try:
            clients = [int(p) for p in options.ports.split(",")]
        except ValueError:
            parser.error(f"--ports: '{options.ports}' is not a list of numbers")
        if len(clients) != options.members:
            parser.error(f"--ports names {len(clients)} ports for {options.members} members")
    if any(not 0 < p < 65535 for p in clients):
        parser.error("--ports: a port must be between 1 and 65534")
    options.port_pairs = [(p, p + 1) for p in clients]
    flat = [p for pair in options.port_pairs for p in pair]
    if len(set(flat)) != len(flat):
        parser.error("--ports: client and peer ports collide (a peer port is client port + 1)")
    return options


def say(text):
    print(text, flush=True)


def expect(what, got, wanted):
    if got != wanted:
        raise local.ClusterError(f"{what}: got {got!r}, expected {wanted!r}")


def installed_packages():
    """Real input: this machine's packages and versions."""
    out = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    rows = [line.split(" ", 1) for line in out.splitlines() if " " in line]
    return sorted({name: version for name, version in rows}.items())[:60]


def load_input(ctl, rows):
    """Puts the rows, forty to a transaction."""
    for start in range(0, len(rows), 40):
        operations = "".join(f'put {DEMO}packages/{name} "{version}"\n'
                             for name, version in rows[start:start + 40])
        expect("transaction", ctl("txn", stdin="\n" + operations + "\n\n").split()[0], "SUCCESS")


def basic_operations(ctl, rows):
    ctl("del", DEMO, "--prefix")
    expect("put", ctl("put", DEMO + "greeting", "hello").strip(), "OK")
    expect("get", ctl("get", DEMO + "greeting").splitlines(), [DEMO + "greeting", "hello"])
    say("  put, get                 demo/greeting = hello")

    load_input(ctl, rows)
    lines = ctl("get", DEMO + "packages/", "--prefix").splitlines()
    got = [(k.removeprefix(DEMO + "packages/"), v) for k, v in zip(lines[::2], lines[1::2])]
    expect("get by prefix", got, rows)
    say(f"  txn puts, get --prefix   {len(rows)} installed packages and their versions")

    ctl("put", DEMO + "doomed", "1")
    expect("delete", ctl("del", DEMO + "doomed").strip(), "1")
    expect("get of a deleted key", ctl("get", DEMO + "doomed"), "")
    say("  delete                   1 key")

    key = DEMO + "greeting"
    compare_and_swap = f'value("{key}") = "hello"\n\nput {key} "goodbye"\n\nget {key}\n\n'
    expect("transaction", ctl("txn", stdin=compare_and_swap).split()[0], "SUCCESS")
    expect("transaction again", ctl("txn", stdin=compare_and_swap).split()[0], "FAILURE")
    expect("get", ctl("get", DEMO + "greeting", "--print-value-only").strip(), "goodbye")
    say("  transaction              compare-and-swap succeeds once, then fails")


def watch_operation(ctl):
    """A watch from a past revision sees what has happened since and what happens then."""
    key = DEMO + "watched"
    ctl("put", key, "0")
    revision = json.loads(ctl("get", key, "-w", "json"))["header"]["revision"]
    ctl("put", key, "1")
    watch = ctl.start("watch", key, "--rev", str(revision + 1))
    expected = ["PUT", key, "1", "PUT", key, "2", "DELETE", key]
    seen = []

    def read():
        for line in watch.stdout:
            if line.strip():
                seen.append(line.strip())

    threading.Thread(target=read, daemon=True).start()
    try:
        local.wait_until(lambda: len(seen) >= 3, 20, "the watch has delivered the past event")
        ctl("put", key, "2")
        ctl("del", key)
        local.wait_until(lambda: len(seen) >= len(expected), 20,
                         "the watch has delivered three events")
    finally:
        watch.kill()
        watch.wait()
    expect("watch", seen, expected)
    say("  watch                    put, put, delete arrive in order, past and present")


def survive_a_kill(cluster, ctl):
    leader = local.wait_until(lambda: ctl.leader(cluster), 20, "somebody leads")
    others = [m for m in cluster.members if m is not leader]
    rest = ",".join(m.endpoint for m in others)
    say(f"  leader                   {leader.name} (pid {leader.process.pid}): SIGKILL")
    killed_at = time.monotonic()
    leader.kill(signal.SIGKILL)
    if others:
        local.wait_until(
            lambda: ctl.run("put", DEMO + "after-kill", "still here", endpoints=rest).returncode == 0, 30,
            "the remaining members accept a write")
        say(f"  writes go on             first success {time.monotonic() - killed_at:.2f} s after "
            "the kill")
        expect("read after the kill",
               ctl("get", DEMO + "after-kill", "--print-value-only", endpoints=rest).strip(),
               "still here")
        expect("old data after the kill",
               ctl("get", DEMO + "greeting", "--print-value-only", endpoints=rest).strip(), "goodbye")
        say("  reads go on              new and old keys")
    cluster.start_member(leader)
    cluster.wait_healthy(members=[leader])
    say(f"  restarted                {leader.name} (pid {leader.process.pid}) is healthy")
    expect("old data on the restarted member",
           ctl("get", DEMO + "greeting", "--print-value-only", endpoints=leader.endpoint).strip(),
           "goodbye")


def same_data(cluster, ctl):
    """All members have the same revision and the same hash of all their records."""
    def agreed():
        rows = ctl.hashes()
        same = len({row[1:] for row in rows}) == 1 and len(rows) == len(cluster.members)
        return rows if same else None

    rows = local.wait_until(agreed, 20, "all members report the same revision and hash")
    dumps = {m.name: ctl("get", "", "--from-key", "--consistency", "s", endpoints=m.endpoint)
             for m in cluster.members}
    if len(set(dumps.values())) != 1:
        raise local.ClusterError("members hold different data though their hashes agree")
    keys = len(next(iter(dumps.values())).splitlines()) // 2
    say(f"  same on all {len(cluster.members)} members    {keys} keys, revision {rows[0][2]}, "
        f"hash {rows[0][1]}")


def check_directory(directory, members):
    """Data of a cluster of another size is not mixed with a new one's: some members would go on in
    the old cluster, the others found one beside it."""
    try:
        found = sorted(name for name in os.listdir(directory)
                       if name[0] == "m" and name[1:].isdigit()
                       and os.path.isdir(os.path.join(directory, name)))
    except FileNotFoundError:
        return
    if found and len(found) != members:
        raise local.ClusterError(
            f"{directory} holds the data of {len(found)} member(s), {' '.join(found)}: say "
            f"--members {len(found)}, or give another --dir")


def demonstrate(cluster, ctl):
    say("real input through the real etcdctl:")
    basic_operations(ctl, installed_packages())
    watch_operation(ctl)
    say("a crash:")
    survive_a_kill(cluster, ctl)
    same_data(cluster, ctl)


def explain(cluster, directory):
    say("")
    say("connect:  etcdctl --endpoints " + cluster.endpoints + " get demo/greeting")
    say(f"          curl http://{cluster.members[0].endpoint}/health")
    say("data and logs: " + directory)
    for m in cluster.members:
        say(f"  {m.name}  client http://{m.endpoint}  peer {m.peer_url}  pid {m.process.pid}")


def wait_for_interrupt(cluster):
    say("running; Ctrl-C stops the cluster")
    while True:
        time.sleep(0.5)
        for m in cluster.members:
            if not m.running():
                raise local.ClusterError(
                    f"{m.name} ended with status {m.process.returncode}; see {m.log_path}")


def main(argv):
    options = parse_arguments(argv)
    if options.arguments_only:  # ./run asks before it installs and builds anything
        return 0
    # Whatever ends this script ends the cluster. A shell that starts it in the background
    # has SIGINT ignored, which the members and a later `kill -INT` should not inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    temporary = None
    directory = options.dir
    if directory is None and options.check:
        directory = temporary = tempfile.mkdtemp(prefix="quorate-run-")
    directory = os.path.abspath(directory or "quorate-data")
    ok = False
    try:
        check_directory(directory, options.members)
        with local.Cluster(options.binary, options.port_pairs, directory) as cluster:
            say(f"starting {options.members} member(s) on 127.0.0.1, data in {directory}")
            cluster.start()
            cluster.wait_healthy()
            say("all members are healthy")
            ctl = local.Etcdctl(cluster.endpoints)
            demonstrate(cluster, ctl)
            ok = True
            explain(cluster, directory)
            if not options.check:
                wait_for_interrupt(cluster)
    except local.ClusterError as e:
        ok = False
        print(f"run: {e}", file=sys.stderr)
    except OSError as e:  # a directory that cannot be made, a log that cannot be written
        ok = False
        print(f"run: {e.strerror}: {e.filename}", file=sys.stderr)
    except KeyboardInterrupt:
        say("stopped")
    if temporary and (ok or not os.listdir(temporary)):
        shutil.rmtree(temporary, ignore_errors=True)
    if options.check:
        say("run: OK" if ok else f"run: FAILED (data and logs are in {directory})")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
