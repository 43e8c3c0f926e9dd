"""Starts and stops local clusters of real server processes, Quorate's or etcd's.

Used by ./run, the end-to-end tests and bench/compare. Standard library only.
Processes are ended by pid; nothing is waited for by sleeping a fixed time.
"""
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request


class ClusterError(Exception):
    """Something a user can act on; the message says what."""


def free_ports(count):
    """Port numbers that were free a moment ago, held open together so that they differ."""
    sockets = []
    for _ in range(count):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        sockets.append(s)
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def free_port_pairs(count):
    """(client, peer) pairs of free ports in which the peer port follows the client's."""
    pairs = []
    while len(pairs) < count:
        port = free_ports(1)[0]
        try:
            check_port_free(port + 1)
        except (ClusterError, OverflowError):
            continue
        if all(abs(port - other) > 1 for other, _ in pairs):
            pairs.append((port, port + 1))
    return pairs


def check_port_free(port):
    """Raises ClusterError if something listens on 127.0.0.1:port."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind(("127.0.0.1", port))
    except OSError as e:
        raise ClusterError(f"port {port} on 127.0.0.1 is taken ({e.strerror}); "
                           "choose others with --ports") from e
    finally:
        s.close()


def wait_until(condition, timeout, what):
    """Calls condition() until it is true; ClusterError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise ClusterError(f"gave up after {timeout:g} s waiting until {what}")
        time.sleep(0.05)


class Member:
    """One server process with its own ports, data directory and log file."""

    def __init__(self, binary, name, client_port, peer_port, directory, tls=None,
                 peer_scheme="http"):
        """tls: an ssl.SSLContext for health checks; the client port is https then."""
        self.binary = binary
        self.tls = tls
        self.peer_scheme = peer_scheme
        self.name = name
        self.client_port = client_port
        self.peer_port = peer_port
        self.data_dir = os.path.join(directory, name)
        self.log_path = os.path.join(directory, name + ".log")
        self.process = None

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.client_port}"

    @property
    def peer_url(self):
        return f"{self.peer_scheme}://127.0.0.1:{self.peer_port}"

    @property
    def client_url(self):
        return f"{'https' if self.tls else 'http'}://{self.endpoint}"

    def start(self, initial_cluster, token, state="new", extra=()):
        for port in (self.client_port, self.peer_port):
            check_port_free(port)
        arguments = [
            self.binary, "--name", self.name, "--data-dir", self.data_dir,
            "--listen-client-urls", self.client_url, "--advertise-client-urls", self.client_url,
            "--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url,
            "--initial-cluster", initial_cluster, "--initial-cluster-token", token,
            "--initial-cluster-state", state, *extra]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self, sig=signal.SIGKILL):
        """Sends a signal and waits until the process is gone; returns its exit status."""
        if self.running():
            self.process.send_signal(sig)
        if self.process is None:
            return None
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ClusterError(f"{self.name} (pid {self.process.pid}) did not stop within 20 s of "
                               f"signal {sig}") from None

    def healthy(self):
        """True if /health says so; ClusterError if the process has died meanwhile."""
        if not self.running():
            status = self.process.returncode if self.process else "never started"
            raise ClusterError(f"{self.name} is not running (exit status {status}); "
                               f"the end of {self.log_path}:\n{self.log_tail()}")
        try:
            with urllib.request.urlopen(f"{self.client_url}/health", timeout=2,
                                        context=self.tls) as reply:
                return json.load(reply).get("health") == "true"
        except (OSError, ValueError, urllib.error.URLError):
            return False

    def log_tail(self, lines=8):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except OSError:
            return ""

    def resident_kib(self):
        return self._proc_status("VmRSS")

    def peak_resident_kib(self):
        return self._proc_status("VmHWM")

    def _proc_status(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        return 0

    def cpu_seconds(self):
        """User and system CPU time of the process so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Cluster:
    """A few members that know each other. Use as a context manager: leaving stops them."""

    def __init__(self, binary, ports, directory, token="quorate-local", extra=(), **member):
        """ports: (client, peer) pairs, one for each member; `member`: Member's options."""
        os.makedirs(directory, exist_ok=True)
        self.token = token
        self.extra = list(extra)
        self.members = [
            Member(binary, f"m{i + 1}", client, peer, directory, **member)
            for i, (client, peer) in enumerate(ports)]
        self.initial_cluster = ",".join(f"{m.name}={m.peer_url}" for m in self.members)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    @property
    def endpoints(self):
        return ",".join(m.endpoint for m in self.members)

    def start(self):
        for member in self.members:
            for port in (member.client_port, member.peer_port):
                check_port_free(port)
        for member in self.members:
            self.start_member(member)

    def start_member(self, member):
        member.start(self.initial_cluster, self.token, extra=self.extra)

    def wait_healthy(self, timeout=30, members=None):
        waiting = list(self.members if members is None else members)
        for member in waiting:
            wait_until(member.healthy, timeout,
                       f"{member.name} at {member.endpoint} is healthy (see {member.log_path})")

    def stop(self):
        """SIGTERM to all, then waits; SIGKILL to whoever does not go, also if interrupted."""
        started = [member.process for member in self.members if member.process is not None]
        try:
            for process in started:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            for process in started:
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    pass
        finally:
            for process in started:
                if process.poll() is None:
                    process.kill()
                    process.wait()


class Etcdctl:
    """Runs the real etcdctl against some endpoints."""

    def __init__(self, endpoints, binary="etcdctl", flags=()):
        """flags: before every command (--cacert and the like)."""
        self.endpoints = endpoints
        self.binary = binary
        self.flags = list(flags)

    def _command(self, arguments, endpoints):
        return [self.binary, "--endpoints", endpoints or self.endpoints, *self.flags, *arguments]

    @staticmethod
    def _environment():
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "ETCDCTL_API": "3"}

    def run(self, *arguments, stdin="", endpoints=None, timeout=30):
        """Returns the completed process; output as text."""
        return subprocess.run(self._command(arguments, endpoints), input=stdin, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              env=self._environment(), check=False)

    def __call__(self, *arguments, **options):
        """Standard output of a command that must succeed."""
        done = self.run(*arguments, **options)
        if done.returncode != 0:
            raise ClusterError(f"etcdctl {' '.join(arguments)} failed with status "
                               f"{done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(self, *arguments, endpoints=None):
        """A command left running (watch); the caller ends it. Line-buffered stdout pipe."""
        return subprocess.Popen(self._command(arguments, endpoints), text=True, bufsize=1,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=self._environment())

    def status(self, endpoints=None):
        """Endpoint status as a list of (endpoint, StatusResponse dict)."""
        reply = json.loads(self("endpoint", "status", "-w", "json", endpoints=endpoints))
        return [(row["Endpoint"], row["Status"]) for row in reply]

    def hashes(self):
        """HashKV of every endpoint: list of (endpoint, hash, revision, compact revision)."""
        reply = json.loads(self("endpoint", "hashkv", "-w", "json"))
        return [(row["Endpoint"], row["HashKV"].get("hash", 0),
                 row["HashKV"]["header"].get("revision", 0),
                 row["HashKV"].get("compact_revision", 0)) for row in reply]

    def leader(self, cluster):
        """The member that its own status names as leader; None if there is none now."""
        alive = [m for m in cluster.members if m.running()]
        done = self.run("endpoint", "status", "-w", "json",
                        endpoints=",".join(m.endpoint for m in alive))
        try:
            rows = json.loads(done.stdout)
        except ValueError:
            return None
        for row in rows:
            status = row["Status"]
            if status.get("leader", 0) == status["header"]["member_id"]:
                return next(m for m in alive if m.endpoint == row["Endpoint"])
        return None
