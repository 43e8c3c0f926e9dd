#!/usr/bin/env python3
"""Real servers over TLS, the real etcdctl and curl as their clients, a CA of the test's own."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import cluster as local  # noqa: E402
import junit  # noqa: E402
from authority import Authority  # noqa: E402

BINARY = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="quorate-e2e-tls-")
LOCAL = "IP:127.0.0.1,DNS:localhost"


def ports_for(members):
    ports = local.free_ports(2 * members)
    return list(zip(ports[::2], ports[1::2]))


def client_flags(ca, pair=None):
    flags = ["--cacert", ca]
    return flags + ["--cert", pair[0], "--key", pair[1]] if pair else flags


def curl(member, path, *flags):
    """(exit status, body) of the real curl."""
    done = subprocess.run(["curl", "-sS", "--max-time", "20", *flags, member.client_url + path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout or done.stderr


def run_server(*arguments):
    """What a server says that is expected to end by itself."""
    done = subprocess.run([BINARY, "--data-dir", tempfile.mkdtemp(dir=WORK), *arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
    return done.returncode, done.stdout


class ThreeMembers(unittest.TestCase):
    """Certificates on both ports, required of clients and of members."""

    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(os.path.join(WORK, "ca"))
        cls.server = cls.ca.issue("server", LOCAL)
        cls.peer = cls.ca.issue("member", LOCAL)
        cls.user = cls.ca.issue("user", usage="clientAuth")
        cls.crl = cls.ca.path("clients.crl")
        cls.ca.write_crl(cls.crl)
        context = ssl.create_default_context(cafile=cls.ca.ca)
        context.load_cert_chain(*cls.user)
        cls.cluster = local.Cluster(
            BINARY, ports_for(3), os.path.join(WORK, "three"), tls=context, peer_scheme="https",
            extra=["--cert-file", cls.server[0], "--key-file", cls.server[1], "--client-cert-auth",
                   "--trusted-ca-file", cls.ca.ca, "--client-crl-file", cls.crl,
                   "--peer-cert-file", cls.peer[0], "--peer-key-file", cls.peer[1],
                   "--peer-client-cert-auth", "--peer-trusted-ca-file", cls.ca.ca,
                   "--peer-cert-allowed-cn", "member"])
        cls.cluster.start()
        cls.cluster.wait_healthy()
        cls.ctl = local.Etcdctl(cls.cluster.endpoints, flags=client_flags(cls.ca.ca, cls.user))

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def refused(self, flags, *expected):
        """etcdctl with these credentials fails with one of these texts."""
        ctl = local.Etcdctl(self.cluster.members[0].endpoint, flags=flags)
        done = ctl.run("--dial-timeout", "2s", "--command-timeout", "3s", "put", "refused", "1")
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(any(text in done.stderr for text in expected), done.stderr)
        self.assertEqual(self.ctl("get", "refused"), "")

    def logged(self, member, message):
        with open(member.log_path, encoding="utf-8") as f:
            return [r for r in map(json.loads, f) if r["msg"] == message]

    def test_requests_through_every_member(self):
        for member in self.cluster.members:
            self.ctl("put", "tls/" + member.name, "x" * 100000, endpoints=member.endpoint)
        rows = self.ctl("get", "tls/", "--prefix", "--keys-only").split()
        self.assertEqual(rows, ["tls/m1", "tls/m2", "tls/m3"])
        health = json.loads(self.ctl("endpoint", "health", "-w", "json"))
        self.assertEqual([row["health"] for row in health], [True] * 3)
        self.assertTrue(self.logged(self.cluster.members[0], "serving client traffic securely"))

    def test_watch_and_lease_over_tls(self):
        lease = self.ctl("lease", "grant", "60").split()[1]
        self.ctl("put", "watch/tls", "1", "--lease", lease)
        watch = self.ctl.start("watch", "watch/tls", "--rev", "1")
        try:
            self.assertEqual([watch.stdout.readline().strip() for _ in range(3)],
                             ["PUT", "watch/tls", "1"])
            self.ctl("lease", "revoke", lease)
            self.assertEqual(watch.stdout.readline().strip(), "DELETE")
        finally:
            watch.kill()
            watch.communicate()

    def test_without_a_certificate(self):
        self.refused(client_flags(self.ca.ca), "deadline exceeded", "certificate required",
                     "bad certificate")
        self.assertTrue(any("did not return a certificate" in r["error"] for r in self.logged(
            self.cluster.members[0], "rejected connection on client endpoint")))

    def test_of_another_authority(self):
        other = Authority(os.path.join(WORK, "other"))
        self.refused(client_flags(self.ca.ca, other.issue("user", usage="clientAuth")),
                     "deadline exceeded", "unknown certificate authority", "bad certificate")
        self.refused(client_flags(other.ca, self.user), "deadline exceeded",
                     "certificate signed by unknown authority")

    def test_expired_or_of_the_wrong_kind(self):
        self.refused(client_flags(self.ca.ca, self.ca.issue("old", expired=True)),
                     "deadline exceeded", "expired certificate", "bad certificate")
        self.refused(client_flags(self.ca.ca, self.ca.issue("only-server", usage="serverAuth")),
                     "deadline exceeded", "bad certificate", "unsupported certificate")

    def test_revoked_while_running(self):
        pair = self.ca.issue("traitor", usage="clientAuth")
        ctl = local.Etcdctl(self.cluster.endpoints, flags=client_flags(self.ca.ca, pair))
        ctl("put", "traitor", "1")
        self.ca.revoke(pair[0])
        for der in (False, True):
            self.ca.write_crl(self.crl, der)
            self.refused(client_flags(self.ca.ca, pair), "deadline exceeded",
                         "revoked certificate", "bad certificate")
        self.ctl("put", "not-revoked", "1")

    def test_plain_text_is_no_way_in(self):
        self.refused(["--insecure-transport=true"], "deadline exceeded", "unavailable",
                     "connection")
        status, _ = curl(self.cluster.members[0], "/health", "-k")
        self.assertNotEqual(status, 0)

    def test_half_open_and_broken_handshakes_harm_nobody(self):
        member = self.cluster.members[0]
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        crowd = []
        try:
            for i in range(200):
                for port in (member.client_port, member.peer_port):
                    crowd.append(socket.create_connection(("127.0.0.1", port), timeout=10))
                    crowd[-1].sendall(hello if i % 2 else os.urandom(3000))
            for i in range(5):
                self.ctl("put", "crowd", str(i), endpoints=member.endpoint)
        finally:
            for connection in crowd:
                connection.close()
        self.assertEqual(self.ctl("get", "crowd", "--print-value-only",
                                  endpoints=member.endpoint).strip(), "4")
        self.assertTrue(member.running())

    def test_http_with_curl(self):
        flags = ["--cacert", self.ca.ca, "--cert", self.user[0], "--key", self.user[1]]
        for more in ([], ["--http1.1"], ["--no-alpn"], ["--tls-max", "1.2"]):
            status, body = curl(self.cluster.members[1], "/health", *flags, *more)
            self.assertEqual((status, json.loads(body)["health"]), (0, "true"), more)
        self.assertIn("etcd_server_has_leader 1", curl(self.cluster.members[1], "/metrics",
                                                       *flags)[1])

    def test_a_renewed_certificate_is_shown_to_new_connections(self):
        def shown():
            done = subprocess.run(
                ["openssl", "s_client", "-connect", self.cluster.members[2].endpoint, "-cert",
                 self.user[0], "-key", self.user[1]], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False).stdout
            return done.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0]

        old = shown()
        cert, key = self.ca.issue("renewed", LOCAL)
        for new, path in ((cert, self.server[0]), (key, self.server[1])):
            shutil.copy(new, path + ".new")
            os.replace(path + ".new", path)
        self.assertNotEqual(shown(), old)
        self.ctl("put", "renewed", "1")

    def test_a_member_comes_back_over_tls(self):
        member = self.cluster.members[2]
        member.kill(signal.SIGKILL)
        self.ctl("put", "away", "1", endpoints=self.cluster.members[0].endpoint)
        self.cluster.start_member(member)
        self.cluster.wait_healthy(members=[member])
        self.assertEqual(self.ctl("get", "away", "--print-value-only",
                                  endpoints=member.endpoint).strip(), "1")
        # A client's certificate does not make a member.
        status, _ = curl_peer(member, self.ca.ca, self.user)
        self.assertNotEqual(status, 0)
        status, body = curl_peer(member, self.ca.ca, self.peer)
        self.assertEqual((status, json.loads(body)["etcdserver"]), (0, "3.7.1"))

    def test_the_common_name_is_the_user(self):
        root = local.Etcdctl(self.cluster.endpoints,
                             flags=client_flags(self.ca.ca, self.ca.issue("root")))
        for command in (["user", "add", "root:pw"], ["role", "add", "root"],
                        ["user", "grant-role", "root", "root"], ["user", "add", "user:pw"],
                        ["role", "add", "some"], ["user", "grant-role", "user", "some"],
                        ["role", "grant-permission", "some", "readwrite", "mine"],
                        ["auth", "enable"]):
            self.ctl(*command)
        try:
            self.ctl("put", "mine", "1")
            self.assertIn("permission denied", self.ctl.run("put", "other", "1").stderr)
            self.assertEqual(self.ctl("--user", "root:pw", "put", "other", "1").strip(), "OK")
            stranger = local.Etcdctl(self.cluster.endpoints,
                                     flags=client_flags(self.ca.ca, self.ca.issue("stranger")))
            self.assertNotEqual(stranger.run("put", "mine", "1").returncode, 0)
        finally:
            root("auth", "disable")


def curl_peer(member, ca, pair):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", "--cacert", ca, "--cert", pair[0],
                           "--key", pair[1], member.peer_url + "/version"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout or done.stderr


class OfTheirOwnMaking(unittest.TestCase):
    """--auto-tls and --peer-auto-tls."""

    def test_encrypts_without_any_file(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        cluster = local.Cluster(BINARY, ports_for(3), os.path.join(WORK, "auto"), tls=context,
                                peer_scheme="https", extra=["--auto-tls", "--peer-auto-tls"])
        with cluster:
            cluster.start()
            cluster.wait_healthy()
            ctl = local.Etcdctl(cluster.endpoints, flags=["--insecure-skip-tls-verify",
                                                          "--insecure-transport=false"])
            ctl("put", "auto", "1")
            self.assertEqual(ctl("get", "auto").split(), ["auto", "1"])
            key = os.path.join(cluster.members[0].data_dir, "fixtures/client/key.pem")
            self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)


class Refusals(unittest.TestCase):
    """Settings and files that do not fit are named, and nothing is served."""

    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(os.path.join(WORK, "refusals"))
        cls.pair = cls.ca.issue("server", LOCAL)

    def said(self, *flags):
        port = local.free_ports(1)[0]
        url = f"https://127.0.0.1:{port}"
        peer = f"http://127.0.0.1:{local.free_ports(1)[0]}"
        status, text = run_server("--listen-client-urls", url, "--advertise-client-urls", url,
                                  "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                                  "--initial-cluster", f"default={peer}", *flags)
        self.assertEqual(status, 1, text)
        return text

    def test_no_certificate_for_https(self):
        self.assertIn("TLS key/cert (--cert-file, --key-file) must be provided for client url "
                      "https://127.0.0.1:", self.said())

    def test_half_a_pair(self):
        self.assertIn("--cert-file and --key-file must both be present",
                      self.said("--cert-file", self.pair[0]))

    def test_missing_file(self):
        text = self.said("--cert-file", "/nowhere.crt", "--key-file", self.pair[1])
        self.assertIn("cannot read --cert-file", text)
        self.assertIn("/nowhere.crt", text)

    def test_key_of_another(self):
        other = self.ca.issue("other", LOCAL)
        self.assertIn("does not match", self.said("--cert-file", self.pair[0], "--key-file",
                                                  other[1]))

    def test_unknown_cipher_suite(self):
        self.assertIn("unexpected TLS cipher suite", self.said(
            "--cert-file", self.pair[0], "--key-file", self.pair[1], "--cipher-suites", "ROT13"))


if __name__ == "__main__":
    try:
        junit.main(sys.modules[__name__])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
