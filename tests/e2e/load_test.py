#!/usr/bin/env python3
"""Every kind of load that quorate-load knows, against a real member: the calls succeed and do
what they are named after."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import cluster as local  # noqa: E402
import junit  # noqa: E402

SERVER, GENERATOR = (os.path.abspath(path) for path in sys.argv[1:3])
WORK = tempfile.mkdtemp(prefix="quorate-load-")


class Load(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = local.Cluster(SERVER, [tuple(local.free_ports(2))], WORK)
        cls.cluster.start()
        cls.cluster.wait_healthy()
        cls.ctl = local.Etcdctl(cls.cluster.endpoints)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def load(self, *arguments, keys=200):
        done = subprocess.run(
            [GENERATOR, "--endpoints", self.cluster.endpoints, "--warmup", "0s", "--json",
             "--keys", str(keys), "--range-size", "50", "--leases", "20", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["errors"], {})
        return report

    def revision(self):
        return json.loads(self.ctl("get", "none", "-w", "json"))["header"]["revision"]

    def test_reads_write_nothing_and_writes_write(self):
        self.load("--op", "put", "--requests", "10", "--fill")
        for op, writes in (("put", 1), ("txn", 1), ("get", 0), ("serializable-get", 0),
                           ("range", 0), ("page", 0), ("status", 0), ("lease-grant", 0)):
            with self.subTest(op):
                before = self.revision()
                report = self.load("--op", op, "--requests", "60", "--clients", "8",
                                   "--connections", "3", "--prepared")
                self.assertEqual(report["operations"], 60)
                self.assertEqual(self.revision() - before, writes * report["total_operations"])

    def test_keys_are_filled_once(self):
        report = self.load("--op", "mixed", "--requests", "40", "--clients", "4")
        self.assertEqual(report["prepared"], 200)
        keys = self.ctl("get", "0", "--prefix", "--keys-only").split()
        self.assertEqual(len(keys), 200)
        self.load("--op", "kubernetes", "--requests", "100", "--clients", "4")

    def test_leases_are_kept_alive(self):
        for _ in range(2):  # the second time they exist
            report = self.load("--op", "lease-keepalive", "--requests", "100", "--clients", "4")
            self.assertEqual((report["prepared"], report["operations"]), (20, 100))
        granted = self.ctl("lease", "list").split()
        self.assertIn(f"{1 << 21:016x}", granted)

    def test_every_event_reaches_every_watcher(self):
        report = self.load("--op", "watch", "--watchers", "90", "--streams", "7",
                           "--connections", "3", "--clients", "2", "--duration", "300ms", keys=4)
        # 90 watchers of 4 keys: two keys have 23 of them and two have 22.
        rounds, more = divmod(report["puts"], 4)
        self.assertGreater(report["puts"], 0)
        self.assertEqual(report["operations"], 90 * rounds + sum([23, 23, 22, 22][:more]))

    def test_paced_calls_are_all_made(self):
        report = self.load("--op", "put", "--rate", "500", "--requests", "50", "--clients", "20")
        self.assertEqual(report["operations"], 50)

    def test_a_wrong_operation_is_named(self):
        done = subprocess.run([GENERATOR, "--op", "fly"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('"fly" is none of: put, get,', done.stdout)


if __name__ == "__main__":
    try:
        junit.main(sys.modules[__name__])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
