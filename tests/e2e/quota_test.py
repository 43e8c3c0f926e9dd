#!/usr/bin/env python3
"""Memory under --quota-backend-bytes: the alarm comes before memory goes beyond its bound.

One member is filled with keys of 16 bytes and values of 256 until it refuses more, some of them
overwritten on the way and compacted away. The most that it ever held resident must be within
1.5 times the quota and a constant: what the log since the last checkpoint, connections and the
program take. Where memory control groups may be made, the member runs in one with that limit.

  quota_test.py QUORATE
"""
import base64
import concurrent.futures
import json
import os
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools")]
import cluster as local  # noqa: E402
import junit  # noqa: E402

MIB = 1 << 20
QUOTA = 128 * MIB
CONSTANT = 128 * MIB
BOUND = QUOTA * 3 // 2 + CONSTANT
BATCH = 100
QUORATE = None


class MemoryGroup:
    """A memory control group with a limit, if this process may make one."""

    def __init__(self, limit):
        self.path = None
        v1 = "/sys/fs/cgroup/memory"
        root, name = ((v1, "memory.limit_in_bytes") if os.path.isdir(v1)
                      else ("/sys/fs/cgroup", "memory.max"))
        path = os.path.join(root, f"quorate-quota-{os.getpid()}")
        try:
            os.mkdir(path)
            self.path = path
            with open(os.path.join(path, name), "w", encoding="ascii") as f:
                f.write(str(limit))
        except OSError as e:
            print(f"no memory control group: {e}")
            self.close()
        # Where one may be made, the member must not run without.
        assert self.path is not None or not os.path.isdir(v1) or not os.access(v1, os.W_OK)

    def add(self, pid):
        if self.path is None:
            return
        with open(os.path.join(self.path, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write(str(pid))

    def close(self):
        if self.path is not None:
            os.rmdir(self.path)
            self.path = None


def encode(text):
    return base64.b64encode(text.encode()).decode()


class QuotaTest(unittest.TestCase):
    def call(self, path, body):
        request = urllib.request.Request(
            f"{self.url}/v3/{path}", data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as e:
            return json.loads(e.read())

    def put_batch(self, batch):
        """A hundred keys, of which every other one is of an earlier batch again."""
        value = encode("v" * 256)
        keys = [f"{(batch - 50 if i % 2 else batch) * BATCH + i:016d}" for i in range(BATCH)]
        return self.call("kv/txn", {"success": [
            {"request_put": {"key": encode(key), "value": value}} for key in keys]})

    def fill(self):
        """Until a request is refused; the answer."""
        batch = 50
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            while True:
                for answer in pool.map(self.put_batch, range(batch, batch + 40)):
                    if "error" in answer:
                        return answer
                batch += 40
                self.assertLess(batch * BATCH * 272, 4 * QUOTA, "the quota bounds nothing")
                revision = int(answer["header"]["revision"])
                if batch % 400 == 50:
                    self.call("kv/compaction", {"revision": str(revision)})

    def test_the_alarm_comes_before_memory_is_beyond_its_bound(self):
        with tempfile.TemporaryDirectory(prefix="quorate-quota-") as directory:
            group = MemoryGroup(BOUND)
            try:
                with local.Cluster(QUORATE, [tuple(local.free_ports(2))], directory,
                                   extra=[f"--quota-backend-bytes={QUOTA}"]) as cluster:
                    cluster.start()
                    member = cluster.members[0]
                    group.add(member.process.pid)
                    cluster.wait_healthy()
                    self.url = member.client_url
                    refusal = self.fill()
                    self.assertIn("database space exceeded", refusal["error"])
                    alarms = self.call("maintenance/alarm", {"action": "GET"}).get("alarms", [])
                    self.assertEqual([a["alarm"] for a in alarms], ["NOSPACE"])
                    self.assertTrue(member.running())
                    status = self.call("maintenance/status", {})
                    peak = member.peak_resident_kib() * 1024
                    print(f"in use {int(status['dbSizeInUse']) / MIB:.0f} MiB, peak resident "
                          f"{peak / MIB:.0f} MiB, quota {QUOTA / MIB:.0f} MiB, bound "
                          f"{BOUND / MIB:.0f} MiB, control group: {group.path is not None}")
                    self.assertLess(peak, BOUND)
            finally:
                group.close()


if __name__ == "__main__":
    QUORATE = os.path.abspath(sys.argv.pop(1))
    junit.main(sys.modules[__name__])
