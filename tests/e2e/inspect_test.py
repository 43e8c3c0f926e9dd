#!/usr/bin/env python3
"""The real quorate-inspect on the data directory of a real server, and on damaged copies of it."""
import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import cluster as local  # noqa: E402
import junit  # noqa: E402

BINARY = os.path.abspath(sys.argv[1])
INSPECT = os.path.abspath(sys.argv[2])
WORK = tempfile.mkdtemp(prefix="quorate-inspect-")

WHOLE, DAMAGED, WRONG_USAGE, UNREADABLE, REPAIRABLE = range(5)
KEYS = 120


def obey_modes():
    """The program that is run next may write what files' modes allow and no more, even as root."""
    pr_capbset_drop, cap_dac_override = 24, 1
    ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override, 0, 0, 0)


def inspect(*arguments):
    return subprocess.run([INSPECT, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False,
                          preexec_fn=obey_modes)


def digests(directory):
    """Path below `directory` -> what the file holds, for all files."""
    found = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, directory)] = hashlib.sha256(f.read()).hexdigest()
    return found


def flip(path, offset, bit=0):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ (1 << bit)]))


def crc32c(content):
    """The check of all our formats, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Inspect(unittest.TestCase):
    """One directory with two checkpoints and a log, written by a server that was then stopped."""

    @classmethod
    def setUpClass(cls):
        ports = local.free_ports(2)
        cls.cluster = local.Cluster(BINARY, [tuple(ports)], os.path.join(WORK, "server"),
                                    extra=["--snapshot-count", "40",
                                           "--snapshot-catchup-entries", "5"])
        cls.member = cls.cluster.members[0]
        cls.directory = cls.member.data_dir
        cls.start()
        try:
            ctl = local.Etcdctl(cls.cluster.endpoints)
            for i in range(KEYS):
                ctl("put", f"key/{i:03}", stdin=f"value {i} " + "v" * 500)
            with urllib.request.urlopen(f"{cls.member.client_url}/metrics", timeout=10) as reply:
                lines = [line.split() for line in reply.read().decode().splitlines()]
            cls.metrics = {line[0]: float(line[1]) for line in lines if len(line) == 2}
        finally:
            cls.stop()

    @classmethod
    def start(cls):
        cls.cluster.start_member(cls.member)
        cls.cluster.wait_healthy()

    @classmethod
    def stop(cls):
        return cls.member.kill(signal.SIGTERM)

    def copy(self, name):
        directory = os.path.join(WORK, name)
        shutil.copytree(self.directory, directory)
        return directory

    def report(self, directory, status):
        return self.report_of(["--json", directory], status)

    def report_of(self, arguments, status):
        run = inspect(*arguments)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return json.loads(run.stdout)

    def test_the_server_counted_what_it_did_to_its_disk(self):
        self.assertGreaterEqual(self.metrics["quorate_checkpoint_taken_total"], 2)
        self.assertGreaterEqual(self.metrics["quorate_wal_writes_total"], KEYS)
        self.assertGreater(self.metrics["etcd_disk_wal_write_bytes_total"], KEYS * 500)
        for name in ("quorate_checkpoint_failed_total", "quorate_scrub_damaged_total",
                     "quorate_scrub_repaired_total", "quorate_wal_waits_for_space"):
            self.assertEqual(self.metrics[name], 0, name)

    def test_a_whole_directory_is_shown_and_not_touched(self):
        before = digests(self.directory)
        run = inspect(self.directory)
        self.assertEqual(run.returncode, WHOLE, run.stderr)
        self.assertTrue(run.stdout.endswith("OK\n"), run.stdout)
        self.assertRegex(run.stdout, r"checkpoint at entry \d+")
        self.assertEqual(run.stderr, "", "no bar where nobody looks")
        report = self.report(self.directory, WHOLE)
        self.assertTrue(report["whole"])
        self.assertFalse(report["repairable"])
        self.assertIsNone(report["damage"])
        self.assertIsNone(report["error"])
        self.assertGreater(report["last_index"], KEYS)
        self.assertGreater(report["checkpoint"]["index"], report["checkpoint"]["previous_index"])
        self.assertGreater(report["checkpoint"]["previous_index"], 0)
        self.assertGreater(report["checkpoint"]["bytes"], 0)
        self.assertGreater(report["hard_state"]["term"], 0)
        self.assertIn("log", [segment["role"] for segment in report["segments"]])
        for segment in report["segments"]:
            self.assertEqual(segment["file_bytes"], os.path.getsize(segment["path"]))
        self.assertEqual(digests(self.directory), before)

    def test_the_bar_goes_to_standard_error_up_to_the_end(self):
        run = inspect("--progress", self.directory)
        self.assertEqual(run.returncode, WHOLE)
        self.assertIn("%", run.stderr)
        self.assertNotIn("%", run.stdout)
        self.assertEqual(run.stdout, inspect(self.directory).stdout)

    def test_damage_of_the_newest_checkpoint_is_made_good_by_a_start(self):
        directory = self.copy("repairable")
        manifest = os.path.join(directory, "member", "checkpoint", "manifest")
        flip(manifest, os.path.getsize(manifest) // 2, 3)
        before = digests(directory)
        whole = self.report(self.directory, WHOLE)
        report = self.report(directory, REPAIRABLE)
        self.assertFalse(report["whole"])
        self.assertTrue(report["repairable"])
        self.assertIn(manifest, report["damage"])
        self.assertEqual(report["checkpoint"]["index"], whole["checkpoint"]["previous_index"])
        self.assertEqual(report["last_index"], whole["last_index"])
        text = inspect(directory)
        self.assertEqual(text.returncode, REPAIRABLE)
        self.assertIn("from the checkpoint before", text.stdout)
        self.assertEqual(digests(directory), before)
        self.serves_everything(directory)
        self.assertTrue(self.report(directory, WHOLE)["whole"], "the start has repaired it")

    def serves_everything(self, directory):
        """A server on `directory` has all keys."""
        original, self.member.data_dir = self.member.data_dir, directory
        try:
            self.start()
            ctl = local.Etcdctl(self.cluster.endpoints)
            lines = ctl("get", "key/", "--prefix").splitlines()
            self.assertEqual(lines[::2], [f"key/{i:03}" for i in range(KEYS)])
            self.assertEqual(lines[1::2], [f"value {i} " + "v" * 500 for i in range(KEYS)])
            self.assertIn("the newest checkpoint cannot be used", self.member.log_tail(10_000))
        finally:
            self.stop()
            self.member.data_dir = original

    def test_damage_of_the_log_is_refused_by_a_start_in_the_same_words(self):
        directory = self.copy("log")
        report = self.report(directory, WHOLE)
        segment = next(s for s in report["segments"]
                       if s["role"] == "log" and s["log_bytes"] > 8192)
        flip(segment["path"], 4096 + 100, 6)
        report = self.report(directory, DAMAGED)
        self.assertFalse(report["whole"])
        self.assertFalse(report["repairable"])
        self.assertIn(f"{segment['path']}: damaged at offset 4096", report["damage"])
        self.assertIn(report["damage"], inspect(directory).stdout)
        original, self.member.data_dir = self.member.data_dir, directory
        try:
            self.cluster.start_member(self.member)
            self.assertNotEqual(self.member.process.wait(timeout=20), 0)
        finally:
            self.stop()
            self.member.data_dir = original
        self.assertIn(report["damage"], [json.loads(line).get("error")
                                         for line in self.member.log_tail(10_000).splitlines()
                                         if line.startswith("{")])

    def test_a_damaged_identity(self):
        directory = self.copy("meta")
        flip(os.path.join(directory, "member", "meta"), 20)
        run = inspect(directory)
        self.assertEqual(run.returncode, REPAIRABLE)
        self.assertIn(os.path.join(directory, "member", "meta"), run.stdout)
        self.assertIn("meta", self.report(directory, REPAIRABLE)["damage"])

    def test_a_missing_segment(self):
        directory = self.copy("missing")
        for segment in self.report(directory, WHOLE)["segments"]:
            os.remove(segment["path"])
        report = self.report(directory, DAMAGED)
        self.assertFalse(report["repairable"])

    def test_a_truncated_segment(self):
        directory = self.copy("truncated")
        for end in (512 + 100, 1024, 4096):
            segments = self.report(directory, WHOLE)["segments"]
            segment = [s for s in segments if s["role"] == "log"][-1]
            with open(segment["path"], "rb") as f:
                whole = f.read()
            os.truncate(segment["path"], end)
            report = self.report(directory, DAMAGED)
            self.assertIn(f"{segment['path']}: damaged at offset", report["damage"])
            self.assertIn("etcdctl member", report["damage"], "what to do")
            with open(segment["path"], "wb") as f:
                f.write(whole)

    def test_a_truncated_identity(self):
        directory = self.copy("truncated-meta")
        meta = os.path.join(directory, "member", "meta")
        for end in (0, 100, 511):
            os.truncate(meta, end)
            report = self.report(directory, REPAIRABLE)
            self.assertIn(f"{meta}: damaged at offset {end}", report["damage"])
            self.assertFalse(report["whole"])

    def test_missing_manifests(self):
        directory = self.copy("manifests")
        checkpoint = os.path.join(directory, "member", "checkpoint")
        previous = self.report(directory, WHOLE)["checkpoint"]["previous_index"]
        # A crash may leave this, between two renames: the log leads on from the one before.
        os.remove(os.path.join(checkpoint, "manifest"))
        report = self.report(directory, WHOLE)
        self.assertEqual(report["checkpoint"]["index"], previous)
        self.assertEqual(report["last_index"], self.report(self.directory, WHOLE)["last_index"])

    def test_a_missing_file_of_the_checkpoint(self):
        directory = self.copy("pack")
        checkpoint = os.path.join(directory, "member", "checkpoint")
        for name in os.listdir(checkpoint):
            if name.endswith(".seg"):
                os.remove(os.path.join(checkpoint, name))
        # The log of this member reaches back to its beginning.
        report = self.report(directory, REPAIRABLE)
        self.assertIn(checkpoint, report["damage"])
        self.assertIn("the file is missing", report["damage"])
        self.assertNotIn("must not go on", report["damage"])
        log = os.path.join(directory, "member", "log")
        for name in os.listdir(log):
            os.remove(os.path.join(log, name))
        self.assertIn("etcdctl member", self.report(directory, DAMAGED)["damage"])

    def test_a_newer_format(self):
        directory = self.copy("newer")
        path = os.path.join(directory, "member", "meta")
        with open(path, "r+b") as f:
            content = bytearray(f.read())
            content[12] = 99
            content[8:12] = crc32c(content[:8] + content[12:]).to_bytes(4, "little")
            f.seek(0)
            f.write(content)
        report = self.report(directory, UNREADABLE)
        self.assertIn("format version 99", report["error"])
        self.assertIn(path, report["error"])

    def test_a_directory_that_a_server_uses(self):
        directory = self.copy("used")
        original, self.member.data_dir = self.member.data_dir, directory
        try:
            self.start()
            report = self.report(directory, UNREADABLE)
            self.assertIn("another process is using this directory", report["error"])
            # Nor by somebody who may only read it.
            os.chmod(os.path.join(directory, "member", "LOCK"), 0o400)
            report = self.report(directory, UNREADABLE)
            self.assertIn("another process is using this directory", report["error"])
        finally:
            self.stop()
            self.member.data_dir = original
        self.report(directory, WHOLE)

    def test_a_directory_that_may_only_be_read(self):
        directory = self.copy("read-only")
        for parent, _, names in os.walk(directory):
            for name in names:
                os.chmod(os.path.join(parent, name), 0o400)
            os.chmod(parent, 0o500)
        self.assertTrue(self.report(directory, WHOLE)["whole"])
        for parent, _, _ in os.walk(directory):
            os.chmod(parent, 0o700)

    def test_a_copy_without_its_lock_file_gets_none(self):
        directory = self.copy("unlocked")
        lock = os.path.join(directory, "member", "LOCK")
        self.assertEqual(self.report(directory, WHOLE)["notes"], [])
        os.remove(lock)
        notes = self.report(directory, WHOLE)["notes"]
        self.assertEqual(len(notes), 1, notes)
        self.assertIn("No lock could be taken", notes[0])
        self.assertFalse(os.path.exists(lock))

    def test_a_file_system_that_can_only_be_read(self):
        directory = self.copy("mounted")
        for locked in (True, False):
            script = ('mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 77; '
                      'touch "$1/x" 2>/dev/null && exit 78; exec "$0" --json "$1"')
            run = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                                  script, INSPECT, directory], stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True, timeout=60, check=False)
            if run.returncode == 77 or "unshare" in run.stderr:
                self.skipTest(f"no file system can be mounted here: {run.stderr}")
            self.assertEqual(run.returncode, WHOLE, run.stdout + run.stderr)
            self.assertEqual(len(json.loads(run.stdout)["notes"]), 0 if locked else 1)
            if locked:
                os.remove(os.path.join(directory, "member", "LOCK"))

    def test_every_document_has_the_same_keys_on_top(self):
        damaged = self.copy("keys")
        flip(os.path.join(damaged, "member", "checkpoint", "manifest"), 40)
        first = self.report(self.directory, WHOLE)
        self.assertEqual(list(first), list(self.report(damaged, REPAIRABLE)))
        for error in (self.report(os.path.join(WORK, "nothing"), UNREADABLE),
                      self.report_of(["--json"], WRONG_USAGE),
                      self.report_of(["--json", "--frobnicate", damaged], WRONG_USAGE)):
            self.assertEqual(list(error), ["whole", "repairable", "error"])
            self.assertTrue(set(error) <= set(first))
            self.assertTrue(error["error"])

    def test_a_path_that_is_no_utf_8(self):
        directory = os.path.join(WORK.encode(), b"caf\xe9")
        shutil.copytree(self.directory.encode(), directory)
        run = subprocess.run([INSPECT, "--json", directory], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(run.returncode, WHOLE)
        self.assertTrue(json.loads(run.stdout.decode("utf-8"))["whole"])

    def test_what_is_no_data_directory(self):
        run = inspect(os.path.join(WORK, "nothing"))
        self.assertEqual(run.returncode, UNREADABLE)
        self.assertIn("not initialised", run.stderr)
        self.assertIn("not initialised",
                      self.report(os.path.join(WORK, "nothing"), UNREADABLE)["error"])

    def test_wrong_usage(self):
        for arguments in ([], ["--frobnicate", self.directory], [self.directory, "another"]):
            self.assertEqual(inspect(*arguments).returncode, WRONG_USAGE, arguments)
        self.assertEqual(inspect("--help").returncode, WHOLE)


if __name__ == "__main__":
    try:
        junit.main(sys.modules[__name__])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
