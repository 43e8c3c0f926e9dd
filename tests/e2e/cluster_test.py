#!/usr/bin/env python3
"""Three real server processes, driven by the real etcdctl and by plain HTTP."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import cluster as local  # noqa: E402
import junit  # noqa: E402

BINARY = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="quorate-e2e-")


def ports_for(members):
    ports = local.free_ports(2 * members)
    return list(zip(ports[::2], ports[1::2]))


def http_get(endpoint, path, timeout=10):
    """(status, content type, body) whatever the status."""
    try:
        with urllib.request.urlopen(f"http://{endpoint}{path}", timeout=timeout) as reply:
            return reply.status, reply.headers.get("Content-Type"), reply.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers.get("Content-Type"), e.read().decode()


def run_server(*arguments, timeout=20):
    """A server that is expected to end by itself."""
    return subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)


def complaint(stderr):
    """What a server that ended said: the errors of its log, and its plain lines."""
    texts = []
    for line in stderr.splitlines():
        texts.append(json.loads(line).get("error", "") if line.startswith("{") else line)
    return "\n".join(texts)


def member_arguments(name, client_port, peer_port, data_dir, initial_cluster=None, token="t"):
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return ["--name", name, "--data-dir", data_dir, "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer,
            "--initial-cluster", initial_cluster or f"{name}={peer}",
            "--initial-cluster-token", token]


def log_records(member):
    """The member's log, one object a line; fails on a line that is none."""
    with open(member.log_path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.startswith("{")]


class Quota(unittest.TestCase):
    """A member whose store is full, and how it gets well again."""

    def test_no_space_alarm_from_the_first_refusal_to_the_last_step_of_recovery(self):
        cluster = local.Cluster(BINARY, ports_for(1), os.path.join(WORK, "quota"),
                                extra=["--quota-backend-bytes", "1000000"])
        cluster.start()
        try:
            cluster.wait_healthy()
            ctl = local.Etcdctl(cluster.endpoints)
            self.fill_and_recover(ctl, cluster.members[0].endpoint)
        finally:
            cluster.stop()

    def fill_and_recover(self, ctl, endpoint):
        value = "x" * 50000
        for i in range(100):
            put = ctl.run("put", f"fill/{i:03}", stdin=value)
            if put.returncode != 0:
                break
        self.assertIn("etcdserver: mvcc: database space exceeded", put.stderr)
        self.assertTrue(15 <= i <= 20, i)
        self.assertRegex(ctl("alarm", "list"), r"^memberID:\d+ alarm:NOSPACE\s*$")
        self.assertEqual(json.loads(http_get(endpoint, "/health")[2]),
                         {"health": "false", "reason": "ALARM NOSPACE"})
        self.assertEqual(http_get(endpoint, "/health?exclude=NOSPACE")[0], 200)
        status = json.loads(ctl("endpoint", "status", "-w", "json"))[0]["Status"]
        self.assertIn("NOSPACE", " ".join(status["errors"]))
        # Small things are refused too, reads are not, and room can be made.
        for refused in (["put", "small", "1"], ["lease", "grant", "60"]):
            self.assertIn("database space exceeded", ctl.run(*refused).stderr)
        self.assertEqual(ctl("get", "fill/000", "--print-value-only").strip(), value)
        ctl("del", "fill/", "--prefix")
        revision = json.loads(ctl("get", "fill/", "-w", "json"))["header"]["revision"]
        ctl("compaction", "--physical", str(revision))
        self.assertRegex(ctl("alarm", "disarm"), r"^memberID:\d+ alarm:NOSPACE\s*$")
        self.assertEqual(ctl("put", "fill/000", stdin=value).strip(), "OK")
        self.assertEqual(ctl("alarm", "list").strip(), "")
        self.assertEqual(json.loads(http_get(endpoint, "/health")[2])["health"], "true")


class ThreeMembers(unittest.TestCase):
    """One cluster for all cases of the class; each case has keys of its own."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = local.Cluster(BINARY, ports_for(3), os.path.join(WORK, "three"))
        cls.cluster.start()
        cls.cluster.wait_healthy()
        cls.ctl = local.Etcdctl(cls.cluster.endpoints)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def get(self, *arguments, **options):
        lines = self.ctl("get", *arguments, **options).splitlines()
        return list(zip(lines[::2], lines[1::2]))

    def leader(self):
        return local.wait_until(lambda: self.ctl.leader(self.cluster), 20, "somebody leads")

    def test_put_is_seen_by_every_member(self):
        self.assertEqual(self.ctl("put", "put/a", "1").strip(), "OK")
        for member in self.cluster.members:
            self.assertEqual(self.get("put/a", endpoints=member.endpoint), [("put/a", "1")])

    def test_get_by_prefix_range_limit_and_revision(self):
        for i in range(5):
            self.ctl("put", f"prefix/{i}", f"v{i}")
        everything = [(f"prefix/{i}", f"v{i}") for i in range(5)]
        self.assertEqual(self.get("prefix/", "--prefix"), everything)
        self.assertEqual(self.get("prefix/1", "prefix/3"), everything[1:3])
        self.assertEqual(self.get("prefix/", "--prefix", "--limit", "2"), everything[:2])
        self.assertEqual(self.get("prefix/", "--prefix", "--order", "DESCEND"), everything[::-1])
        revision = json.loads(self.ctl("get", "prefix/0", "-w", "json"))["kvs"][0]["mod_revision"]
        self.ctl("put", "prefix/0", "new")
        self.assertEqual(self.get("prefix/0", "--rev", str(revision)), [("prefix/0", "v0")])
        self.assertEqual(self.get("prefix/0"), [("prefix/0", "new")])
        keys = self.ctl("get", "prefix/", "--prefix", "--keys-only").split()
        self.assertEqual(keys, [k for k, _ in everything])

    def test_values_are_bytes(self):
        value = "line one\nline two\n\u00e4\u20ac"
        self.ctl("put", "bytes/a", stdin=value)
        self.assertEqual(self.ctl("get", "bytes/a", "--print-value-only").rstrip("\n"), value)
        self.ctl("put", "bytes/empty", "")
        self.assertEqual(self.get("bytes/empty"), [("bytes/empty", "")])

    def test_a_large_value_passes_and_a_too_large_one_is_refused(self):
        large = "x" * (1024 * 1024)
        self.ctl("put", "large/a", stdin=large)
        self.assertEqual(self.ctl("get", "large/a", "--print-value-only").strip(), large)
        refused = self.ctl.run("put", "large/b", stdin="x" * (1600 * 1024))
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("etcdserver: request is too large", refused.stderr)
        self.assertEqual(self.get("large/b"), [])

    def test_delete_and_previous_values(self):
        for i in range(3):
            self.ctl("put", f"del/{i}", str(i))
        self.assertEqual(self.ctl("put", "del/0", "again", "--prev-kv").split(),
                         ["OK", "del/0", "0"])
        self.assertEqual(self.ctl("del", "del/0", "--prev-kv").split(), ["1", "del/0", "again"])
        self.assertEqual(self.ctl("del", "del/", "--prefix").strip(), "2")
        self.assertEqual(self.ctl("del", "del/", "--prefix").strip(), "0")

    def test_transaction(self):
        self.ctl("put", "txn/a", "1")
        swap = 'value("txn/a") = "1"\n\nput txn/a 2\nput txn/b 3\n\nget txn/a\n\n'
        self.assertEqual(self.ctl("txn", stdin=swap).split(), ["SUCCESS", "OK", "OK"])
        self.assertEqual(self.ctl("txn", stdin=swap).split(), ["FAILURE", "txn/a", "2"])
        revisions = {json.loads(self.ctl("get", key, "-w", "json"))["kvs"][0]["mod_revision"]
                     for key in ("txn/a", "txn/b")}
        self.assertEqual(len(revisions), 1, "both puts happen in one revision")

    def test_compaction_and_its_errors(self):
        revision = 0
        for i in range(3):
            reply = json.loads(self.ctl("put", "compact/a", str(i), "-w", "json"))
            revision = reply["header"]["revision"]
        self.ctl("compaction", str(revision))
        self.assertEqual(self.get("compact/a"), [("compact/a", "2")])
        old = self.ctl.run("get", "compact/a", "--rev", str(revision - 1))
        self.assertIn("required revision has been compacted", old.stderr)
        future = self.ctl.run("get", "compact/a", "--rev", str(revision + 1000000))
        self.assertIn("required revision is a future revision", future.stderr)

    def test_watch_past_and_present(self):
        self.ctl("put", "watch/a", "0")
        revision = json.loads(self.ctl("get", "watch/a", "-w", "json"))["header"]["revision"]
        self.ctl("put", "watch/a", "1")
        for member in self.cluster.members:
            self.watch_through(member, revision + 1)

    def watch_through(self, member, revision):
        watch = self.ctl.start("watch", "watch/", "--prefix", "--rev", str(revision),
                               endpoints=member.endpoint)
        seen = []

        def read():
            for line in watch.stdout:
                seen.append(line.strip())

        threading.Thread(target=read, daemon=True).start()
        key = f"watch/{member.name}"
        expected = ["PUT", key, "x", "DELETE", key, ""]
        try:
            local.wait_until(lambda: seen[:3] == ["PUT", "watch/a", "1"], 20, "the past event")
            self.ctl("put", key, "x")
            self.ctl("del", key)
            local.wait_until(lambda: seen[-6:] == expected, 20, f"the events of now in {seen}")
        finally:
            watch.kill()
            watch.wait()

    def test_endpoint_status_health_and_hash(self):
        rows = self.ctl.status()
        self.assertEqual(len(rows), 3)
        self.assertEqual(len({s["leader"] for _, s in rows}), 1)
        self.assertEqual({s["version"] for _, s in rows}, {"3.7.1"})
        self.assertTrue(all(s["dbSize"] > 0 for _, s in rows), "etcdctl divides by it")
        self.ctl("endpoint", "status", "-w", "table")
        health = json.loads(self.ctl("endpoint", "health", "-w", "json"))
        self.assertEqual([row["health"] for row in health], [True] * 3)
        local.wait_until(lambda: len({row[1:] for row in self.ctl.hashes()}) == 1, 20,
                         "all members report the same hash at the same revision")

    def test_member_list(self):
        rows = [line.split(", ") for line in self.ctl("member", "list").splitlines()]
        self.assertEqual(sorted(row[2] for row in rows), ["m1", "m2", "m3"])
        self.assertEqual({row[1] for row in rows}, {"started"})
        self.assertEqual(sorted(row[4] for row in rows),
                         sorted("http://" + m.endpoint for m in self.cluster.members))

    def grant(self, ttl, **options):
        """The hexadecimal id that etcdctl prints and takes."""
        words = self.ctl("lease", "grant", str(ttl), **options).split()
        self.assertEqual((words[0], words[2:]), ("lease", ["granted", "with", f"TTL({ttl}s)"]))
        return words[1]

    def time_to_live(self, lease, **options):
        return json.loads(self.ctl("lease", "timetolive", lease, "--keys", "-w", "json", **options))

    def test_lease_holds_keys_until_it_expires(self):
        lease = self.grant(3)
        for i in range(3):
            self.ctl("put", "--lease", lease, f"lease/expires/{i}", "v")
        self.assertEqual(len(self.get("lease/expires/", "--prefix")), 3)
        local.wait_until(lambda: self.get("lease/expires/", "--prefix") == [], 20,
                         "the lease's keys are gone")
        for member in self.cluster.members:
            self.assertEqual(self.time_to_live(lease, endpoints=member.endpoint)["ttl"], -1)

    def test_lease_is_kept_alive_through_every_member(self):
        for member in self.cluster.members:
            lease = self.grant(2, endpoints=member.endpoint)
            self.ctl("put", "--lease", lease, "lease/kept", member.name)
            keeper = self.ctl.start("lease", "keep-alive", lease, endpoints=member.endpoint)
            try:
                # Each line says that the lease was renewed; five of them outlast it.
                for _ in range(5):
                    self.assertIn(f"lease {lease} keepalived with TTL(2)", keeper.stdout.readline())
                self.assertEqual(self.get("lease/kept"), [("lease/kept", member.name)])
            finally:
                keeper.kill()
                keeper.wait()
            local.wait_until(lambda: self.get("lease/kept") == [], 20, "the lease has expired")
            expired = self.ctl.run("lease", "keep-alive", "--once", lease)
            self.assertIn("requested lease not found", expired.stderr)

    def test_lease_time_to_live_list_and_revoke(self):
        lease = self.grant(600)
        self.ctl("put", "--lease", lease, "lease/b", "1")
        self.ctl("put", "--lease", lease, "lease/a", "1")
        for member in self.cluster.members:
            left = self.time_to_live(lease, endpoints=member.endpoint)
            self.assertEqual(left["granted-ttl"], 600)
            self.assertTrue(590 <= left["ttl"] <= 600, left)
            self.assertEqual(len(left["keys"]), 2)
            local.wait_until(lambda m=member: lease in self.ctl("lease", "list",
                                                                endpoints=m.endpoint), 20, "listed")
        self.ctl("put", "lease/a", "2")
        self.assertEqual(self.ctl("lease", "revoke", lease).split(), ["lease", lease, "revoked"])
        self.assertEqual(self.get("lease/", "--prefix"), [("lease/a", "2")])
        for command in (["lease", "revoke", lease], ["put", "--lease", lease, "lease/c", "1"]):
            refused = self.ctl.run(*command)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("requested lease not found", refused.stderr)

    def test_what_is_not_there_yet_says_so(self):
        refused = self.ctl.run("snapshot", "save", os.path.join(WORK, "backup.db"),
                               endpoints=self.cluster.members[0].endpoint)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("not implemented yet", refused.stderr)

    def test_http_on_the_client_port(self):
        endpoint = self.cluster.members[0].endpoint
        status, content_type, body = http_get(endpoint, "/health")
        self.assertEqual((status, json.loads(body)), (200, {"health": "true", "reason": ""}))
        self.assertEqual(content_type, "application/json")
        self.assertEqual(http_get(endpoint, "/health?serializable=true")[0], 200)
        version = json.loads(http_get(endpoint, "/version")[2])
        self.assertEqual((version["etcdserver"], version["etcdcluster"]), ("3.7.1", "3.7.0"))
        self.assertEqual(http_get(endpoint, "/livez")[::2], (200, "ok\n"))
        self.assertIn("[+]linearizable_read ok", http_get(endpoint, "/readyz?verbose")[2])
        self.assertEqual(http_get(endpoint, "/readyz/non_learner")[0], 200)
        self.assertEqual(http_get(endpoint, "/nothing")[0], 404)

    def test_metrics(self):
        pages = [http_get(m.endpoint, "/metrics")[2] for m in self.cluster.members]
        samples = [dict(line.rsplit(" ", 1) for line in page.splitlines()
                        if not line.startswith("#")) for page in pages]
        self.assertEqual([s["etcd_server_has_leader"] for s in samples], ["1"] * 3)
        self.assertEqual(sorted(s["etcd_server_is_leader"] for s in samples), ["0", "0", "1"])
        for sample in samples:
            self.assertGreater(float(sample["process_resident_memory_bytes"]), 0)
            self.assertGreater(float(sample["etcd_disk_wal_fsync_duration_seconds_count"]), 0)
        handled = [k for k in samples[0] if k.startswith("grpc_server_handled_total")
                   and 'grpc_method="Put"' in k]
        self.assertEqual(len(handled), 17, "one series a status code, from the first scrape")

    def test_peer_port_answers_its_members(self):
        peer = self.cluster.members[0].peer_url.removeprefix("http://")
        members = json.loads(http_get(peer, "/members")[2])
        self.assertEqual(sorted(m["name"] for m in members), ["m1", "m2", "m3"])
        self.assertEqual(json.loads(http_get(peer, "/raft/probing")[2])["OK"], True)
        refused = http_get(peer, "/raft/stream/message/1")
        self.assertEqual((refused[0], refused[2]), (412, "incompatible version\n"))

    def test_garbage_on_either_port_harms_nobody(self):
        member = self.cluster.members[0]
        grpc = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        for port in (member.client_port, member.peer_port):
            for garbage in (os.urandom(4096), b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100,
                            grpc + os.urandom(4096), grpc + b"\xff" * 9,
                            b"POST /raft HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                            b"GET /" + b"x" * 200000 + b" HTTP/1.1\r\n\r\n"):
                self.send_and_drain(port, garbage)
        self.ctl("put", "garbage/after", "1", endpoints=member.endpoint)
        self.assertTrue(member.running())

    def send_and_drain(self, port, garbage):
        """Sends bytes, half-closes, and reads until the server closes or says nothing more."""
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            try:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except (ConnectionError, socket.timeout):
                pass  # refusing without reading to the end is an answer too

    def test_a_killed_leader_loses_nothing(self):
        self.ctl("put", "kill/before", "1")
        leader = self.leader()
        rest = ",".join(m.endpoint for m in self.cluster.members if m is not leader)
        leader.kill(signal.SIGKILL)
        local.wait_until(
            lambda: self.ctl.run("put", "kill/after", "2", endpoints=rest).returncode == 0, 30,
            "the remaining members accept a write")
        expected = [("kill/after", "2"), ("kill/before", "1")]
        self.assertEqual(self.get("kill/", "--prefix", endpoints=rest), expected)
        self.cluster.start_member(leader)
        self.cluster.wait_healthy(members=[leader])
        self.assertEqual(self.get("kill/", "--prefix", endpoints=leader.endpoint), expected)
        local.wait_until(lambda: len({row[1:] for row in self.ctl.hashes()}) == 1, 20,
                         "the restarted member has caught up")

    def test_without_a_majority_nothing_is_acknowledged(self):
        self.ctl("put", "minority/a", "1")
        survivor, *others = self.cluster.members
        for member in others:
            member.kill(signal.SIGKILL)
        refused = self.ctl.run("put", "minority/a", "2", "--command-timeout", "2s",
                               endpoints=survivor.endpoint)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual(self.get("minority/a", "--consistency", "s",
                                  endpoints=survivor.endpoint)[0][0], "minority/a")
        local.wait_until(lambda: http_get(survivor.endpoint, "/health", 15)[0] == 503, 30,
                         "the survivor says that it is not healthy")
        for member in others:
            self.cluster.start_member(member)
        self.cluster.wait_healthy()
        self.ctl("put", "minority/a", "3")
        self.assertEqual(self.get("minority/a"), [("minority/a", "3")])

    def test_sigterm_hands_over_leadership(self):
        leader = self.leader()
        status = leader.kill(signal.SIGTERM)
        self.assertEqual(status, -signal.SIGTERM, "the signal is raised again, as etcd does")
        messages = [r["msg"] for r in log_records(leader)]
        self.assertIn("leadership transfer completed", messages)
        self.cluster.start_member(leader)
        self.cluster.wait_healthy()

    def test_endpoints_from_the_member_list(self):
        """etcdctl 3.4 then sends whole URLs as the authority of its requests."""
        rows = json.loads(self.ctl("endpoint", "status", "--cluster", "-w", "json",
                                   endpoints=self.cluster.members[0].endpoint))
        self.assertEqual(sorted(row["Endpoint"] for row in rows),
                         sorted("http://" + m.endpoint for m in self.cluster.members))

    def test_the_log_is_json_and_calm(self):
        for member in self.cluster.members:
            records = log_records(member)
            self.assertTrue(all({"level", "ts", "caller", "msg"} <= r.keys() for r in records))
            self.assertIn("ready to serve client requests", [r["msg"] for r in records])
            self.assertEqual([r for r in records if r["level"] == "error"], [])


class Authentication(unittest.TestCase):
    """Three members with users and roles, made and used as an operator does."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = local.Cluster(BINARY, ports_for(3), os.path.join(WORK, "auth"),
                                    extra=["--bcrypt-cost", "4"])
        cls.cluster.start()
        cls.cluster.wait_healthy()
        cls.ctl = local.Etcdctl(cls.cluster.endpoints)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def setUp(self):
        self.root("user", "add", "root:rootpw")
        self.root("user", "grant-role", "root", "root")
        self.root("user", "add", "alice:alicepw")
        self.root("role", "add", "apps")
        self.root("role", "grant-permission", "apps", "--prefix", "readwrite", "app/")
        self.root("user", "grant-role", "alice", "apps")
        self.ctl("auth", "enable")

    def tearDown(self):
        self.root("auth", "disable")
        for user in self.ctl("user", "list").split():
            self.ctl("user", "delete", user)
        for role in self.ctl("role", "list").split():
            self.ctl("role", "delete", role)

    def root(self, *arguments, **options):
        """As root, where authentication is enabled, else as anybody."""
        return self.ctl("--user", "root:rootpw", *arguments, **options)

    def alice(self, *arguments, **options):
        return self.ctl("--user", "alice:alicepw", *arguments, **options)

    def assert_refused(self, text, *arguments, **options):
        done = self.ctl.run(*arguments, **options)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(text, done.stderr)

    def test_enabling_needs_root(self):
        self.root("auth", "disable")
        self.ctl("user", "delete", "root")
        self.assert_refused("etcdserver: root user does not exist", "auth", "enable")
        self.ctl("user", "add", "root:rootpw")
        self.ctl("auth", "enable")  # etcdctl sees to root's role by itself
        self.assertEqual(self.root("user", "get", "root").split(),
                         ["User:", "root", "Roles:", "root"])

    def test_users_may_do_what_their_roles_permit_at_every_member(self):
        for member in self.cluster.members:
            key = "app/" + member.name
            self.alice("put", key, "1", endpoints=member.endpoint)
            self.assertEqual(self.alice("get", key, endpoints=member.endpoint).split(),
                             [key, "1"])
            for arguments in (["put", "sys/a", "1"], ["get", "sys/a"], ["get", "", "--prefix"],
                              ["del", "app/", "b"], ["get", "sys/a", "--consistency", "s"],
                              ["user", "add", "mallory:x"], ["auth", "disable"]):
                self.assert_refused("etcdserver: permission denied", "--user", "alice:alicepw",
                                    *arguments, endpoints=member.endpoint)
            self.assert_refused("etcdserver: user name is empty", "put", key, "1",
                                endpoints=member.endpoint)
            self.root("put", "sys/a", "1", endpoints=member.endpoint)
        transaction = 'value("app/m1") = "1"\n\nput app/x 1\n\nput sys/a 2\n\n'
        self.assert_refused("etcdserver: permission denied", "--user", "alice:alicepw", "txn",
                            stdin=transaction)

    def test_wrong_passwords(self):
        text = "etcdserver: authentication failed, invalid user ID or password"
        self.assert_refused(text, "--user", "alice:wrong", "get", "app/a")
        self.assert_refused(text, "--user", "nobody:alicepw", "get", "app/a")
        self.root("user", "add", "cert", "--no-password")
        self.assert_refused("password was given for no password user", "--user", "cert:x", "get",
                            "app/a")

    def test_passwords_change(self):
        self.root("user", "passwd", "alice", "--interactive=false", stdin="new\n")
        self.assert_refused("authentication failed", "--user", "alice:alicepw", "get", "app/a")
        self.ctl("--user", "alice:new", "put", "app/a", "1")

    def test_listing_and_details(self):
        self.root("role", "grant-permission", "apps", "read", "conf", "confz")
        self.root("role", "grant-permission", "apps", "read", "z", "--from-key")
        self.assertEqual(self.root("user", "list").split(), ["alice", "root"])
        self.assertEqual(self.root("role", "list").split(), ["apps"])
        self.assertEqual(self.alice("user", "get", "alice").split(),
                         ["User:", "alice", "Roles:", "apps"])
        role = self.alice("role", "get", "apps")
        self.assertEqual(role.split("\n"), [
            "Role apps", "KV Read:", "\t[app/, app0) (prefix app/)", "\t[conf, confz)",
            "\t[z, <open ended>", "KV Write:", "\t[app/, app0) (prefix app/)", ""])
        self.assert_refused("permission denied", "--user", "alice:alicepw", "user", "get", "root")

    def test_revoking_takes_effect_at_once(self):
        self.alice("put", "app/a", "1")
        self.root("role", "revoke-permission", "apps", "--prefix", "app/")
        for member in self.cluster.members:
            self.assert_refused("permission denied", "--user", "alice:alicepw", "put", "app/a",
                                "2", endpoints=member.endpoint)
        self.root("role", "grant-permission", "apps", "read", "app/a")
        self.assertEqual(self.alice("get", "app/a").split(), ["app/a", "1"])
        self.root("user", "revoke-role", "alice", "apps")
        self.assert_refused("permission denied", "--user", "alice:alicepw", "get", "app/a")
        self.root("user", "grant-role", "alice", "apps")
        self.alice("get", "app/a")
        self.root("role", "delete", "apps")
        self.assert_refused("permission denied", "--user", "alice:alicepw", "get", "app/a")

    def test_what_protects_root(self):
        for arguments in (["user", "delete", "root"], ["user", "revoke-role", "root", "root"],
                          ["role", "delete", "root"]):
            self.assert_refused("etcdserver: invalid auth management", "--user", "root:rootpw",
                                *arguments)

    def test_operators_commands(self):
        for arguments in (["endpoint", "hashkv"], ["compaction", "1"]):
            self.assert_refused("permission denied", "--user", "alice:alicepw", *arguments)
        self.assertIn("started", self.alice("member", "list"))
        self.assert_refused("user name is empty", "member", "list")
        self.assertEqual(len(self.ctl("--user", "root:rootpw", "endpoint", "hashkv")
                             .strip().splitlines()), 3)
        self.ctl("--user", "root:rootpw", "endpoint", "health")
        for member in self.cluster.members:
            self.assertEqual(http_get(member.endpoint, "/health")[0], 200)
            self.assertEqual(http_get(member.endpoint, "/readyz")[0], 200)

    def test_watches(self):
        watch = self.ctl.start("--user", "alice:alicepw", "watch", "app/", "--prefix")
        seen = []
        threading.Thread(target=lambda: seen.extend(line.strip() for line in watch.stdout),
                         daemon=True).start()
        try:
            def put_and_look():
                self.alice("put", "app/w", "now")
                return seen[:3] == ["PUT", "app/w", "now"]
            local.wait_until(put_and_look, 20, f"the watch tells of a put, not {seen}")
        finally:
            watch.kill()
            watch.wait()
        refused = self.ctl.start("--user", "alice:alicepw", "watch", "sys/", "--prefix")
        try:
            self.assertIn("permission denied", refused.communicate(timeout=20)[1])
        finally:
            refused.kill()
            refused.wait()

    def test_a_killed_member_comes_back_with_its_users(self):
        self.alice("put", "app/a", "kept")
        member = self.cluster.members[0]
        member.kill(signal.SIGKILL)
        rest = ",".join(m.endpoint for m in self.cluster.members[1:])
        local.wait_until(lambda: self.ctl.run(
            "--user", "root:rootpw", "user", "add", "bob:bobpw", endpoints=rest).returncode == 0,
            30, "the remaining members add a user")
        self.root("user", "grant-role", "bob", "apps", endpoints=rest)
        self.cluster.start_member(member)
        self.cluster.wait_healthy(members=[member])
        self.assertEqual(self.ctl("--user", "bob:bobpw", "get", "app/a",
                                  endpoints=member.endpoint).split(), ["app/a", "kept"])
        self.assert_refused("user name is empty", "get", "app/a", endpoints=member.endpoint)


class OneMember(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(dir=WORK)

    def test_survives_sigkill_with_all_that_it_acknowledged(self):
        with local.Cluster(BINARY, ports_for(1), self.directory) as cluster:
            cluster.start()
            cluster.wait_healthy()
            ctl = local.Etcdctl(cluster.endpoints)
            for round_ in range(3):
                for i in range(5):
                    ctl("put", f"k/{round_}/{i}", "v")
                cluster.members[0].kill(signal.SIGKILL)
                cluster.start_member(cluster.members[0])
                cluster.wait_healthy()
                keys = ctl("get", "k/", "--prefix", "--keys-only").split()
                self.assertEqual(len(keys), 5 * (round_ + 1))

    def test_damage_to_what_was_acknowledged_is_refused_and_named(self):
        with local.Cluster(BINARY, ports_for(1), self.directory) as cluster:
            cluster.start()
            cluster.wait_healthy()
            ctl = local.Etcdctl(cluster.endpoints)
            ctl("put", "victim", "a value that is found again")
            for i in range(20):
                ctl("put", "later", str(i))
            member = cluster.members[0]
            member.kill(signal.SIGKILL)
            path = self.flip_a_byte(member.data_dir, b"a value that is found again")
            cluster.start_member(member)
            self.assertEqual(member.process.wait(timeout=20), 1)
            errors = [r["error"] for r in log_records(member) if r["level"] == "fatal"]
            self.assertEqual(len(errors), 1)
            self.assertIn(path, errors[0])

    def flip_a_byte(self, data_dir, needle):
        """Changes one byte of the needle in the file that holds it; returns that file's path."""
        for directory, _, names in os.walk(data_dir):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "r+b") as f:
                    offset = f.read().find(needle)
                    if offset >= 0:
                        f.seek(offset)
                        f.write(bytes([needle[0] ^ 1]))
                        return path
        self.fail(f"no file in {data_dir} holds {needle!r}")

    def test_connections_leave_descriptors_for_the_log(self):
        limit = 64
        environment = {**os.environ, "ETCD_MAX_TXN_OPS": "7"}  # and variables are settings
        (client, peer), = ports_for(1)
        data_dir = os.path.join(self.directory, "few")
        with subprocess.Popen(
                ["prlimit", f"--nofile={limit}:{limit}", BINARY,
                 *member_arguments("m1", client, peer, data_dir)], env=environment, text=True,
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            end_of_patience = threading.Timer(30, process.kill)  # then its log ends, too
            end_of_patience.start()
            try:
                lines = []
                for line in process.stderr:
                    lines.append(json.loads(line))
                    if lines[-1]["msg"] == "ready to serve client requests":
                        break
                self.assertIn("ETCD_MAX_TXN_OPS", [r.get("variable-name") for r in lines])
                connections = [socket.create_connection(("127.0.0.1", client))
                               for _ in range(2 * limit)]
                rejected = any(json.loads(line)["msg"] == "rejected connection on client endpoint"
                               for line in process.stderr)
                self.assertTrue(rejected)
                used = len(os.listdir(f"/proc/{process.pid}/fd"))
                self.assertLess(used, limit - 16, "descriptors are left")
                for connection in connections:
                    connection.close()
                ctl = local.Etcdctl(f"127.0.0.1:{client}")
                local.wait_until(lambda: ctl.run("put", "a", "b").returncode == 0, 20,
                                 "clients are served again")
            finally:
                end_of_patience.cancel()
                process.kill()

    def test_a_second_process_on_the_same_directory_is_refused(self):
        with local.Cluster(BINARY, ports_for(1), self.directory) as cluster:
            cluster.start()
            cluster.wait_healthy()
            (client, peer), = ports_for(1)
            second = run_server(*member_arguments("m1", client, peer,
                                                  cluster.members[0].data_dir))
            self.assertEqual(second.returncode, 1)
            self.assertIn(cluster.members[0].data_dir, complaint(second.stderr))
            local.Etcdctl(cluster.endpoints)("put", "still", "alive")

    def test_a_directory_of_another_cluster_is_refused(self):
        (client, peer), = ports_for(1)
        with local.Cluster(BINARY, [(client, peer)], self.directory) as cluster:
            cluster.start()
            cluster.wait_healthy()
        refused = run_server(*member_arguments("m1", client, peer, cluster.members[0].data_dir,
                                               token="another"))
        self.assertEqual(refused.returncode, 1)
        self.assertIn(cluster.members[0].data_dir, complaint(refused.stderr))
        self.assertIn("belongs to member", complaint(refused.stderr))

    def test_a_port_in_use_is_named_and_leaves_no_trace(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            (other, _), = ports_for(1)
            for client, peer in ((port, other), (other, port)):
                data_dir = os.path.join(self.directory, "unused")
                refused = run_server(*member_arguments("m1", client, peer, data_dir))
                self.assertEqual(refused.returncode, 1)
                self.assertIn(f"127.0.0.1:{port}", complaint(refused.stderr))
                self.assertFalse(os.path.exists(data_dir))


class CommandLine(unittest.TestCase):
    def assert_refused(self, status, texts, *arguments):
        done = run_server(*arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        for text in texts:
            self.assertIn(text, complaint(done.stderr))

    def test_version_and_help(self):
        version = run_server("--version")
        self.assertEqual(version.returncode, 0)
        self.assertTrue(version.stdout.startswith("etcd Version: 3.7.1\nGit SHA: "))
        self.assertIn("Quorate Version: ", version.stdout)
        self.assertIn("--initial-cluster-token", run_server("--help").stdout)

    def test_a_variable_of_the_environment_is_a_setting(self):
        environment = {**os.environ, "ETCD_ELECTION_TIMEOUT": "soon"}
        done = subprocess.run([BINARY], env=environment, stdin=subprocess.DEVNULL, text=True,
                              stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('invalid value "soon" for ETCD_ELECTION_TIMEOUT', done.stderr)

    def test_unknown_flag(self):
        self.assert_refused(2, ["flag provided but not defined: --nonsense"], "--nonsense")

    def test_malformed_values_are_named(self):
        self.assert_refused(2, ["--listen-client-urls", "127.0.0.1:2379"],
                            "--listen-client-urls", "127.0.0.1:2379")
        self.assert_refused(2, ["--election-timeout", "soon"], "--election-timeout=soon")
        self.assert_refused(2, ["--initial-cluster", "m1"], "--initial-cluster", "m1")

    def test_settings_that_do_not_fit(self):
        self.assert_refused(1, ["--election-timeout[100ms]"], "--election-timeout", "100")
        self.assert_refused(1, ["--advertise-client-urls is required"],
                            "--listen-client-urls", "http://127.0.0.1:1")
        (client, peer), = ports_for(1)
        self.assert_refused(1, ["couldn't find local name \"m9\""], *member_arguments(
            "m9", client, peer, os.path.join(WORK, "m9"), f"m1=http://127.0.0.1:{peer}"))


if __name__ == "__main__":
    try:
        junit.main(sys.modules[__name__])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
