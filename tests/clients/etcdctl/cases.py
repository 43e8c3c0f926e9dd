"""The real etcdctl, of whichever release, against a running cluster.

tests/e2e asks more of Debian's; these are the commands that an operator uses on any.
"""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
import cases  # noqa: E402

BINARY = sys.argv[1]
ENDPOINTS = os.environ["ENDPOINTS"]


def ctl(*arguments, stdin="", succeeds=True, **variables):
    """Standard output of a command; of one that must fail, standard error."""
    done = subprocess.run([BINARY, "--endpoints", ENDPOINTS, *arguments], input=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False,
                          env={"PATH": os.environ["PATH"], "ETCDCTL_API": "3", **variables})
    if (done.returncode == 0) != succeeds:
        raise AssertionError(f"{' '.join(arguments)}: status {done.returncode}: "
                             f"{done.stderr or done.stdout}")
    return done.stdout if succeeds else done.stderr


def put_get_delete():
    cases.expect(ctl("put", "kv/a", "1").strip(), "OK")
    cases.expect(ctl("put", "kv/b", stdin="from stdin"), "OK\n")
    cases.expect(ctl("get", "kv/", "--prefix").split("\n")[:4], ["kv/a", "1", "kv/b", "from stdin"])
    cases.expect(ctl("get", "kv/", "--prefix", "--keys-only").split(), ["kv/a", "kv/b"])
    cases.expect(json.loads(ctl("get", "kv/", "--prefix", "--limit", "1", "-w", "json"))["count"], 2)
    cases.expect(ctl("get", "kv/a", "-w", "fields").count('"Key" : "kv/a"'), 1)
    cases.expect(ctl("del", "kv/", "--prefix", "--prev-kv").split("\n")[0], "2")


def transaction():
    ctl("put", "txn/a", "1")
    text = 'value("txn/a") = "1"\n\nput txn/a 2\n\nget txn/a\n\n'
    cases.expect(ctl("txn", stdin=text).split()[0], "SUCCESS")
    cases.expect(ctl("txn", stdin=text).split(), ["FAILURE", "txn/a", "2"])


def watch_runs_a_command():
    revision = json.loads(ctl("put", "watch/a", "1", "-w", "json"))["header"]["revision"]
    with tempfile.TemporaryFile("w+") as out:
        watch = subprocess.Popen([BINARY, "--endpoints", ENDPOINTS, "watch", "watch/a", "--rev",
                                  str(revision), "--", "sh", "-c",
                                  "echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_VALUE"],
                                 stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                                 stderr=out, env={"PATH": os.environ["PATH"], "ETCDCTL_API": "3"})
        try:
            seen = ""
            while "PUT" not in seen:
                line = watch.stdout.readline()
                if not line:
                    raise AssertionError("the watch ended")
                seen += line
        finally:
            watch.kill()
            watch.wait()


def leases():
    lease = ctl("lease", "grant", "600").split()[1]
    ctl("put", "lease/a", "1", "--lease", lease)
    cases.expect("lease/a" in ctl("lease", "timetolive", lease, "--keys"), True)
    cases.expect(lease in ctl("lease", "list"), True)
    cases.expect("keepalived" in ctl("lease", "keep-alive", "--once", lease), True)
    ctl("lease", "revoke", lease)
    cases.expect(ctl("get", "lease/a"), "")


def lock_and_election():
    cases.expect(ctl("lock", "lock/a", "echo", "mine").strip(), "mine")
    cases.expect(ctl("lock", "lock/a", "--", "sh", "-c", "test -n \"$ETCD_LOCK_KEY\"").strip(), "")


def endpoints():
    members = len(ENDPOINTS.split(","))
    rows = json.loads(ctl("endpoint", "status", "-w", "json"))
    cases.expect(len(rows), members)
    cases.expect(len({row["Status"]["leader"] for row in rows}), 1)
    cases.expect(ctl("endpoint", "status", "-w", "table").count(" 127.0.0.1:"), members)
    health = json.loads(ctl("endpoint", "health", "-w", "json"))
    cases.expect([row["health"] for row in health], [True] * members)
    cases.expect(len(json.loads(ctl("endpoint", "hashkv", "-w", "json"))), members)


def members_and_alarms():
    members = json.loads(ctl("member", "list", "-w", "json"))["members"]
    cases.expect(len(members), len(ENDPOINTS.split(",")))
    cases.expect(ctl("alarm", "list"), "")


def compaction_and_its_errors():
    revision = json.loads(ctl("put", "compact/a", "1", "-w", "json"))["header"]["revision"]
    ctl("put", "compact/a", "2")
    ctl("compaction", str(revision + 1))
    error = ctl("get", "compact/a", "--rev", str(revision), succeeds=False)
    cases.expect("required revision has been compacted" in error, True)


def users_and_roles():
    ctl("user", "add", "root:pw")
    ctl("role", "add", "root")
    ctl("user", "grant-role", "root", "root")
    ctl("role", "add", "reader")
    ctl("role", "grant-permission", "reader", "read", "--prefix=true", "auth/")
    ctl("user", "add", "alice:alice-pw")
    ctl("user", "grant-role", "alice", "reader")
    ctl("auth", "enable")
    try:
        cases.expect("user name is empty" in ctl("get", "auth/a", succeeds=False), True)
        cases.expect(ctl("--user", "alice:alice-pw", "get", "auth/a"), "")
        cases.expect("permission denied" in ctl("--user", "alice:alice-pw", "put", "auth/a", "1",
                                                succeeds=False), True)
        cases.expect("authentication failed" in ctl("--user", "alice:no", "get", "auth/a",
                                                    succeeds=False), True)
    finally:
        ctl("--user", "root:pw", "auth", "disable")


cases.run([(f.__name__.replace("_", " "), f) for f in (
    put_get_delete, transaction, watch_runs_a_command, leases, lock_and_election, endpoints,
    members_and_alarms, compaction_and_its_errors, users_and_roles)])
