#!/usr/bin/env python3
"""A real cluster of which one member has a disk of its own that gets full, or read-only.

The disk is a small tmpfs, mounted in a mount namespace that is the test's alone. Where that is not
allowed the test says so and passes: nothing else behaves like a full disk.
"""
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import cluster as local  # noqa: E402
import junit  # noqa: E402

BINARY = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="quorate-disk-")

MIB = 1 << 20
DISK = 192 * MIB
# More than a start gives back: the empty parts of segments of the log, of 16 MiB each.
RESERVE = 56 * MIB
IN_NAMESPACE = "QUORATE_DISK_TEST_IN_NAMESPACE"
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


def may_mount():
    """Whether a mount namespace with a tmpfs in it can be made here."""
    target = os.path.join(WORK, "probe")
    os.makedirs(target)
    try:
        done = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", target], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    except OSError as e:
        return str(e)
    return done.stderr.strip() if done.returncode != 0 else ""


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL, timeout=20)


class FullDisk(unittest.TestCase):
    def setUp(self):
        ports = local.free_ports(6)
        self.cluster = local.Cluster(
            BINARY, list(zip(ports[::2], ports[1::2])), os.path.join(WORK, self.id()),
            extra=["--disk-reserve-bytes", str(RESERVE), "--snapshot-count", "50"])
        self.addCleanup(self.cluster.stop)
        self.member = self.cluster.members[0]
        self.disk = os.path.join(WORK, self.id(), "disk")
        os.makedirs(self.disk)
        mount("-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", self.disk)
        self.member.data_dir = os.path.join(self.disk, "data")
        self.ballast = os.path.join(self.disk, "ballast")
        self.cluster.start()
        self.cluster.wait_healthy()
        self.ctl = local.Etcdctl(self.cluster.endpoints)
        self.own = local.Etcdctl(self.member.endpoint)
        self.keys = {}

    def put(self, key):
        """Puts one; what is acknowledged is to be found at the end."""
        done = self.ctl.run("put", key, stdin="value of " + key)
        if done.returncode == 0:
            self.keys[key] = "value of " + key
        return done

    def fill(self, leave):
        """Takes all space of the disk but `leave` bytes, beside what it took before."""
        left = self.free() - leave
        with open(self.ballast, "ab", buffering=0) as f:
            try:
                while left > 0:
                    left -= f.write(bytes(min(left, MIB)))
            except OSError as e:  # the member was quicker
                if e.errno != errno.ENOSPC:
                    raise

    def free(self):
        info = os.statvfs(self.disk)
        return info.f_bavail * info.f_frsize

    def wait_for_alarm(self, stands):
        text = "alarm:NOSPACE"
        local.wait_until(lambda: (text in self.ctl("alarm", "list")) == stands, 30,
                         f"{text} {'stands' if stands else 'is put out'}")

    def wait_for_put(self, key):
        local.wait_until(lambda: self.put(key).returncode == 0, 30, f"{key} is put")

    def everything_is_there(self):
        for endpoint in self.cluster.endpoints.split(","):
            lines = self.ctl("get", "", "--prefix", endpoints=endpoint).splitlines()
            self.assertEqual(dict(zip(lines[::2], lines[1::2])), self.keys, endpoint)
        hashes = {row[1] for row in self.ctl.hashes()}
        self.assertEqual(len(hashes), 1)

    def test_writes_are_refused_reads_are_served_and_it_passes_by_itself(self):
        for i in range(120):
            self.assertEqual(self.put(f"before/{i}").returncode, 0)
        self.fill(leave=RESERVE // 2)
        self.wait_for_alarm(True)
        refused = self.put("refused")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("database space exceeded", refused.stderr)
        self.assertEqual(self.own("get", "before/7").splitlines()[1], "value of before/7")
        # What makes room is let through.
        self.ctl("del", "before/0")
        del self.keys["before/0"]
        # Not a byte is left, and the machine reboots.
        self.fill(leave=0)
        self.member.kill(signal.SIGKILL)
        self.fill(leave=0)
        self.assertEqual(self.free(), 0)
        self.cluster.start_member(self.member)
        local.wait_until(lambda: self.own.run("get", "before/7").returncode == 0, 30,
                         "the member serves reads from a full disk")
        # Nobody but a start makes room here, and it makes too little for the alarm to pass.
        self.assertLess(self.free(), RESERVE)
        self.assertNotEqual(self.put("refused again").returncode, 0)
        os.remove(self.ballast)
        self.wait_for_alarm(False)
        self.wait_for_put("after")
        self.cluster.wait_healthy()
        self.everything_is_there()
        self.assertIn("the disk is nearly full", self.member.log_tail(10_000))

    def test_a_disk_that_can_only_be_read_ends_the_member_and_nothing_is_lost(self):
        for i in range(20):
            self.assertEqual(self.put(f"before/{i}").returncode, 0)
        # It cannot be remounted while somebody has files open to write them.
        self.member.kill(signal.SIGTERM)
        mount("-o", "remount,ro", self.disk)
        self.cluster.start_member(self.member)
        self.assertNotEqual(self.member.process.wait(timeout=30), 0)
        errors = [json.loads(line).get("error", "") for line in
                  self.member.log_tail(100).splitlines() if line.startswith("{")]
        self.assertTrue(any("read-only file system" in error for error in errors), errors)
        self.wait_for_put("the others go on")
        mount("-o", "remount,rw", self.disk)
        self.cluster.start_member(self.member)
        self.cluster.wait_healthy()
        self.everything_is_there()


if __name__ == "__main__":
    if IN_NAMESPACE not in os.environ:
        REASON = may_mount()
        shutil.rmtree(WORK, ignore_errors=True)
        if REASON:
            print(f"SKIPPED, LOUDLY: no file system can be mounted here, so nothing was tried on a "
                  f"full disk: {REASON}")
            sys.exit(0)
        os.execvpe(UNSHARE[0], [*UNSHARE, sys.executable, *sys.argv],
                   {**os.environ, IN_NAMESPACE: "1"})
    try:
        junit.main(sys.modules[__name__])
    finally:
        subprocess.run(["sh", "-c", f"umount '{WORK}'/*/disk"], check=False,
                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(WORK, ignore_errors=True)
