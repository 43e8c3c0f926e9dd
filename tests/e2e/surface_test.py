#!/usr/bin/env python3
"""One real server under the name `etcd`, as an operator and his probes, scripts and old
clients meet it: configuration file, JSON by plain HTTP, metrics, systemd, signals."""
import base64
import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import cluster as local  # noqa: E402
import junit  # noqa: E402

WORK = tempfile.mkdtemp(prefix="quorate-surface-")
# A binary of that name, as in a manifest's `command: etcd`.
ETCD = os.path.join(WORK, "etcd")

# The file of etcd's own documentation, word for word but for the directory.
CONFIG = """name: my-etcd
data-dir: {data_dir}
listen-client-urls: http://localhost:2379
advertise-client-urls: http://localhost:2379
initial-advertise-peer-urls: http://localhost:2380
listen-peer-urls: http://localhost:2380
initial-cluster-token: my-etcd-token
initial-cluster: my-etcd=http://localhost:2380
initial-cluster-state: new
"""


def skip_loudly(what):
    print(f"SKIPPED: {what}", file=sys.stderr)
    raise unittest.SkipTest(what)


def b64(text):
    return base64.b64encode(text.encode()).decode()


def run(*arguments, env=None, timeout=20):
    return subprocess.run([ETCD, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, check=False,
                          env={**os.environ, **(env or {})})


def write(name, text):
    path = os.path.join(WORK, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


class Settings(unittest.TestCase):
    """What ends without serving."""

    def test_config_check(self):
        good = run("--config-file", write("good.yml", CONFIG.format(data_dir=WORK)),
                   "--config-check")
        self.assertEqual((good.returncode, good.stderr), (0, ""))
        self.assertIn("the configuration is valid", good.stdout)
        path = write("bad.yml", "name: x\nsnapshot-count: many\n")
        bad = run("--config-file", path, "--config-check")
        self.assertEqual(bad.returncode, 1)
        self.assertIn(f'{path}: invalid value "many" for snapshot-count in line 2', bad.stderr)
        missing = run("--config-file", os.path.join(WORK, "nothing.yml"))
        self.assertEqual(missing.returncode, 1)
        self.assertIn("nothing.yml", missing.stderr)

    def test_print_config_with_origins(self):
        shown = run("--print-config", "--name=m1", env={"ETCD_MAX_TXN_OPS": "7"})
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn('name: "m1"  # flag\n', shown.stdout)
        self.assertIn('max-txn-ops: "7"  # ETCD_MAX_TXN_OPS\n', shown.stdout)
        # What it prints is a configuration file.
        again = run("--config-file", write("printed.yml", shown.stdout), "--print-config")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn('name: "m1"  # ', again.stdout)

    def test_an_old_manifest(self):
        shown = run("--print-config", "--experimental-initial-corrupt-check=true",
                    "--experimental-watch-progress-notify-interval=5s", "--wal-dir=/w",
                    "--max-wals=9", "--unsafe-no-fsync")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn('watch-progress-notify-interval: "5s"  # flag', shown.stdout)
        self.assertIn('wal-dir: "/w"  # flag\n', shown.stdout)
        self.assertIn('max-wals: "9"  # flag; no effect: ', shown.stdout)

    def test_a_word_that_is_no_flag(self):
        refused = run("start", "--name=m1")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn('"start" is not a valid flag', refused.stderr)

    def test_a_log_that_cannot_be_opened(self):
        refused = run("--log-outputs", os.path.join(WORK, "no", "such", "file"))
        self.assertEqual(refused.returncode, 1)
        self.assertIn("No such file or directory", refused.stderr)
        elsewhere = run("--log-outputs", "file://elsewhere/log")
        self.assertEqual(elsewhere.returncode, 1)
        self.assertIn('"file://elsewhere/log" is a file of another host', elsewhere.stderr)
        both = run("--log-outputs", "default,stdout")
        self.assertEqual(both.returncode, 1)
        self.assertIn('multi logoutput for "default" is not supported yet', both.stderr)

    @contextlib.contextmanager
    def served(self, name, *flags):
        """A member that is ready to serve, and the lines of its standard output: those until
        then, and afterwards all."""
        peer, client = (f"unix://{WORK}/{name}-{port}.sock" for port in ("peer", "client"))
        process = subprocess.Popen(
            [ETCD, "--data-dir", os.path.join(WORK, name), *flags,
             "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
             "--initial-cluster", "default=" + peer,
             "--listen-client-urls", client, "--advertise-client-urls", client],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
        lines = []
        try:
            while not any("ready to serve" in line for line in lines):
                lines.append(process.stdout.readline())
                self.assertTrue(lines[-1], lines)
            yield process, lines
        finally:
            process.terminate()
            lines += process.stdout.readlines()
            process.stdout.close()
            process.wait(timeout=30)

    def test_a_log_for_people_that_is_rotated(self):
        log = os.path.join(WORK, "rotated.log")
        with open(log, "w", encoding="utf-8") as full:
            full.write("x" * (1024 * 1024 - 1) + "\n")

        def full_ones():
            return [name for name in os.listdir(WORK) if name.startswith("rotated-2")]

        with self.served("rotated", "--log-outputs", f"{log},stdout", "--log-format=console",
                         "--enable-log-rotation", "--log-rotation-config-json",
                         '{"maxsize":1,"compress":true}') as (_, lines):
            local.wait_until(lambda: [name.endswith(".log.gz") for name in full_ones()] == [True],
                             30, "the full file is compressed")
        stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
        for line in lines:
            self.assertRegex(line, stamp + r"\t(info|warn)\t[\w./]+:\d+\t[^\t{]+(\t{\"[^\t]*})?\n$")
        with open(log, encoding="utf-8") as current:
            self.assertEqual(current.read(), "".join(lines))
        self.assertEqual(len(full_ones()), 1)

    def test_a_rotated_log_in_a_directory_that_is_not_there_yet(self):
        log = os.path.join(WORK, "not", "there", "yet.log")
        with self.served("yet", "--log-outputs", f"{log},stdout",
                         "--enable-log-rotation") as (_, lines):
            pass
        with open(log, encoding="utf-8") as current:
            self.assertEqual(current.read(), "".join(lines))

    def test_a_log_in_a_directory_of_its_own(self):
        data, elsewhere = (os.path.join(WORK, name) for name in ("logged", "another-disk"))
        place = ["--log-outputs=stdout", "--wal-dir", os.path.join(elsewhere, "wal")]
        with self.served("logged", *place):
            self.assertIn("0000000000000001.log", os.listdir(os.path.join(elsewhere, "wal", "log")))
            self.assertEqual(os.listdir(os.path.join(data, "member", "log")),
                             os.listdir(os.path.join(elsewhere, "wal", "log")))
        # The member knows where its log is, whoever forgets the flag.
        for flags in (place, place[:1]):
            with self.served("logged", *flags) as (_, lines):
                self.assertIn('"msg":"restarting local member"', "".join(lines))
        # A disk that is not mounted is no damage, and nothing is begun anew.
        os.rename(elsewhere, elsewhere + ".away")
        for flags in (place, place[:1]):
            refused = run("--data-dir", data, *flags)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("is its disk mounted?", refused.stderr)
        self.assertFalse(os.path.exists(elsewhere))
        os.rename(elsewhere + ".away", elsewhere)
        moved = run("--data-dir", data, "--wal-dir", os.path.join(WORK, "third"))
        self.assertEqual(moved.returncode, 1)
        self.assertIn("member/log is a link to " + elsewhere, moved.stderr)
        with self.served("logged", *place) as (_, lines):
            self.assertIn('"msg":"restarting local member"', "".join(lines))

    def test_memory_that_is_locked(self):
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        if os.geteuid() != 0 and limit != resource.RLIM_INFINITY and limit < 1 << 30:
            skip_loudly(f"--memory-mlock: this user may lock {limit} bytes only")
        with self.served("locked", "--log-outputs=stdout", "--memory-mlock") as (process, _):
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                locked = next(line for line in status if line.startswith("VmLck:"))
            self.assertGreater(int(locked.split()[1]), 0)

    def test_a_cipher_suite_that_nobody_knows(self):
        peer, client = (f"unix://{WORK}/ciphers-{port}.sock" for port in ("peer", "client"))
        log = os.path.join(WORK, "ciphers.log")
        refused = run("--data-dir", os.path.join(WORK, "ciphers"), "--cipher-suites", "TLS_GREAT",
                      "--log-outputs", f"{log},stdout,{log},file://{log}-2",
                      "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                      "--initial-cluster", "default=" + peer,
                      "--listen-client-urls", client, "--advertise-client-urls", client)
        self.assertEqual(refused.returncode, 1)
        self.assertIn('unexpected TLS cipher suite', refused.stdout)
        self.assertEqual(refused.stderr, "")
        for path in (log, log + "-2"):
            with open(path, encoding="utf-8") as lines:
                self.assertEqual(lines.read(), refused.stdout)


class MyEtcd(unittest.TestCase):
    """The server that etcd's own configuration file describes."""

    @classmethod
    def setUpClass(cls):
        for port in (2379, 2380):
            try:
                local.check_port_free(port)
            except local.ClusterError as e:
                skip_loudly(f"etcd's standard ports: {e}")
        notify = os.path.join(WORK, "notify")
        cls.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        cls.notify.bind(notify)
        cls.notify.settimeout(30)
        cls.data_dir = os.path.join(WORK, "my-etcd.data")
        cls.log_path = os.path.join(WORK, "my-etcd.log")
        with open(cls.log_path, "wb") as log:
            cls.process = subprocess.Popen(
                [ETCD, "--config-file", write("etcd.conf", CONFIG.format(data_dir=cls.data_dir))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "NOTIFY_SOCKET": notify})
        assert cls.notify.recv(100) == b"READY=1\n"
        cls.ctl = local.Etcdctl("127.0.0.1:2379")

    @classmethod
    def tearDownClass(cls):
        cls.process.send_signal(signal.SIGTERM)
        status = cls.process.wait(timeout=20)
        assert status == -signal.SIGTERM, f"ended with {status}"
        assert cls.notify.recv(100) == b"STOPPING=1\n"

    def log_lines(self):
        with open(self.log_path, encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.startswith("{")]

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", 2379, timeout=20)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        answer = reply.status, reply.read().decode()
        connection.close()
        return answer

    def post(self, path, message, headers=None):
        status, text = self.request("POST", path, json.dumps(message), headers)
        return status, json.loads(text)

    def test_etcdctl_and_json_see_the_same(self):
        self.ctl("put", "shared", "from etcdctl")
        status, answer = self.post("/v3/kv/range", {"key": b64("shared")})
        self.assertEqual(status, 200)
        self.assertEqual(answer["kvs"][0]["value"], b64("from etcdctl"))
        self.post("/v3/kv/put", {"key": b64("shared"), "value": b64("from JSON")})
        self.assertEqual(self.ctl("get", "shared", "--print-value-only").strip(), "from JSON")

    def test_a_watch_as_pythons_clients_read_it(self):
        """One JSON document in each chunk: they parse chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", 2379, timeout=20)
        connection.request("POST", "/v3/watch", json.dumps(
            {"create_request": {"key": b64("seen/"), "range_end": b64("seen0")}}))
        reply = connection.getresponse()
        self.assertTrue(json.loads(reply.readline())["result"]["created"])
        for i in range(3):
            self.post("/v3/kv/put", {"key": b64(f"seen/{i}"), "value": b64("v")})
            event = json.loads(reply.readline())["result"]["events"][0]
            self.assertEqual(event["kv"]["key"], b64(f"seen/{i}"))
        connection.close()

    def test_patronis_way(self):
        """What Patroni does: version, lease, a leader lock by create revision, keep-alive."""
        version = json.loads(self.request("GET", "/version")[1])
        self.assertGreaterEqual(tuple(map(int, version["etcdcluster"].split("."))), (3, 4))
        members = self.post("/v3/cluster/member/list", {})[1]["members"]
        self.assertEqual(members[0]["clientURLs"], ["http://localhost:2379"])
        lease = self.post("/v3/lease/grant", {"TTL": 30})[1]["ID"]
        self.assertIsInstance(lease, str)
        lock = {"compare": [{"key": b64("leader"), "target": "CREATE", "create_revision": "0"}],
                "success": [{"request_put": {"key": b64("leader"), "value": b64("a"),
                                             "lease": lease}}]}
        self.assertTrue(self.post("/v3/kv/txn", lock)[1]["succeeded"])
        self.assertNotIn("succeeded", self.post("/v3/kv/txn", lock)[1])
        held = self.post("/v3/kv/range", {"key": b64("leader"), "serializable": True})[1]
        self.assertEqual(held["kvs"][0]["lease"], lease)
        kept = self.post("/v3/lease/keepalive", {"ID": lease})[1]
        self.assertEqual(kept["result"]["TTL"], "30")
        self.assertEqual(self.post("/v3/lease/revoke", {"ID": lease})[0], 200)
        self.assertNotIn("kvs", self.post("/v3/kv/range", {"key": b64("leader")})[1])

    def test_the_second_version_of_etcdctl_is_told(self):
        if not shutil.which("etcdctl"):
            skip_loudly("etcdctl is not installed")
        old = {**os.environ, "ETCDCTL_API": "2", "ETCDCTL_ENDPOINTS": "http://127.0.0.1:2379"}
        for command in (["ls", "--recursive"], ["mkdir", "/a"], ["rmdir", "/a"]):
            done = subprocess.run(["etcdctl", *command], env=old, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
            if "No help topic" in done.stdout or "unknown command" in done.stdout:
                skip_loudly("this etcdctl knows no v2")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("ETCDCTL_API=3", done.stdout)
        # Its client shows no server's words for these, only the status.
        for command in (["member", "list"], ["cluster-health"], ["role", "list"]):
            done = subprocess.run(["etcdctl", *command], env=old, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("Not Implemented", done.stdout)

    def test_locks_and_elections_of_the_server(self):
        status, held = self.post("/v3/lock/lock", {"name": b64("l")})
        self.assertEqual(status, 200)
        self.assertEqual(self.post("/v3/lock/unlock", {"key": held["key"]})[0], 200)
        won = self.post("/v3/election/campaign", {"name": b64("e"), "value": b64("me")})[1]
        seen = self.post("/v3/election/leader", {"name": b64("e")})[1]
        self.assertEqual(seen["kv"]["value"], b64("me"))
        self.assertEqual(self.post("/v3/election/resign", {"leader": won["leader"]})[0], 200)

    def test_etcdctls_lock_and_defrag(self):
        done = self.ctl("lock", "job", "echo", "held")
        self.assertIn("held", done)
        self.assertIn("Finished defragmenting", self.ctl("defrag"))

    def test_the_log_level_changes_at_run_time(self):
        self.process.send_signal(signal.SIGUSR1)
        local.wait_until(lambda: any(r.get("log-level") == "debug" for r in self.log_lines()), 20,
                         "the log says that it is at debug")
        self.process.send_signal(signal.SIGUSR1)
        local.wait_until(lambda: any(r.get("log-level") == "info" for r in self.log_lines()), 20,
                         "the log says that it is at info")


class SocketFiles(unittest.TestCase):
    """A server whose clients and peers come over sockets in the file system."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(dir=WORK)
        self.client = os.path.join(self.directory, "client.sock")
        self.url = "unix://" + self.client
        self.process = None

    def tearDown(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self, number=0, wait=True):
        peer = "unix://" + os.path.join(self.directory, f"peer{number}.sock")
        log_path = os.path.join(self.directory, f"log{number}")
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                [ETCD, f"--data-dir={self.directory}/data{number}",
                 f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}",
                 f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                 f"--initial-cluster=default={peer}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        if wait:
            self.process = process

            def ready():
                with open(log_path, encoding="utf-8") as f:
                    return "ready to serve client requests" in f.read()
            local.wait_until(ready, 30, "the server serves")
        return process, log_path

    def health(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(20)
            s.connect(self.client)
            s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            reply = b""
            while piece := s.recv(4096):
                reply += piece
        return reply

    def test_http_and_grpc(self):
        self.start()
        self.assertIn(b'{"health":"true","reason":""}', self.health())
        ctl = local.Etcdctl(self.url)
        ctl("put", "a", "over a socket")
        self.assertIn("over a socket", ctl("get", "a"))
        self.assertIn(self.url, ctl("member", "list"))
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(timeout=20), -signal.SIGTERM)
        self.assertFalse(os.path.exists(self.client), "the socket goes with the server")

    def test_a_socket_that_is_left_over_is_replaced_and_one_in_use_is_not(self):
        self.start()
        other, log_path = self.start(number=1, wait=False)
        self.assertEqual(other.wait(timeout=20), 1)
        with open(log_path, encoding="utf-8") as f:
            self.assertIn(f"cannot listen on {self.url}", f.read())
        self.assertIn(b'"true"', self.health())
        self.process.kill()
        self.process.wait()
        self.assertTrue(os.path.exists(self.client))
        self.start()
        self.assertIn(b'"true"', self.health())


if __name__ == "__main__":
    os.symlink(os.path.abspath(sys.argv[1]), ETCD)
    try:
        junit.main(sys.modules[__name__])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
