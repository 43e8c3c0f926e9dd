#!/usr/bin/env python3
"""A real member is killed at random moments under load, again and again: nothing that it had
acknowledged is ever missing, and nothing is there that nobody wrote.

QUORATE_LONG=1: 200 rounds. QUORATE_SEED=N: the moments and values of an earlier run.
"""
import base64
import http.client
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import cluster as local  # noqa: E402
import junit  # noqa: E402

BINARY = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="quorate-kill-")
LONG = "QUORATE_LONG" in os.environ
ROUNDS = 200 if LONG else 8
SEED = int(os.environ.get("QUORATE_SEED", random.randrange(1 << 32)))
WRITERS = 8
KEYS = 40  # of each writer
# Of a round, in seconds: between these two the member is killed.
SHORTEST, LONGEST = 0.05, 1.5


def encoded(text):
    return base64.b64encode(text.encode()).decode()


class Writer(threading.Thread):
    """Writes pairs of keys, both in one transaction, until a write fails.

    For each pair it remembers the number that was acknowledged last and the one tried last: they
    differ for one pair at most, the one whose answer did not come.
    """

    def __init__(self, number, port):
        super().__init__(daemon=True)
        self.number = number
        self.port = port
        self.random = random.Random(f"{SEED} {number}")
        self.acknowledged = {}
        self.tried = {}
        self.error = None

    def again(self):
        """The same writer, for the next round."""
        other = Writer(self.number, self.port)
        other.random = self.random
        other.acknowledged, other.tried = self.acknowledged, self.tried
        return other

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            while self.write(connection, self.random.randrange(KEYS)):
                pass
        except (OSError, http.client.HTTPException):
            pass  # killed
        finally:
            connection.close()

    def write(self, connection, key):
        number = self.tried.get(key, 0) + 1
        self.tried[key] = number
        value = encoded(f"{number} " + "v" * self.random.randrange(700))
        puts = [{"requestPut": {"key": encoded(f"{side}/{self.number}/{key:03}"), "value": value}}
                for side in "ab"]
        connection.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
        reply = connection.getresponse()
        answer = reply.read()
        if reply.status != 200:
            self.error = f"{reply.status} {answer}"
            return False
        self.acknowledged[key] = number
        return True


class Killed(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED}", flush=True)
        (client, peer), = local.free_port_pairs(1)
        # Checkpoints and a log that is cut in every round.
        self.cluster = local.Cluster(BINARY, [(client, peer)], WORK,
                                     extra=["--snapshot-count", "150",
                                            "--snapshot-catchup-entries", "20"])
        self.addCleanup(self.cluster.stop)
        self.member = self.cluster.members[0]
        self.random = random.Random(SEED)
        self.writers = [Writer(number, client) for number in range(WRITERS)]

    def post(self, path, request):
        connection = http.client.HTTPConnection("127.0.0.1", self.member.client_port, timeout=20)
        try:
            connection.request("POST", path, json.dumps(request))
            reply = connection.getresponse()
            answer = json.loads(reply.read())
            self.assertEqual(reply.status, 200, answer)
            return answer
        finally:
            connection.close()

    def numbers(self, side):
        """(writer, key) -> the number in the value, of all keys of one side."""
        answer = self.post("/v3/kv/range", {"key": encoded(side + "/"),
                                            "range_end": encoded(side + "0")})
        found = {}
        for pair in answer.get("kvs", []):
            _, writer, key = base64.b64decode(pair["key"]).decode().split("/")
            found[int(writer), int(key)] = int(base64.b64decode(pair["value"]).split()[0])
        return found

    def verify(self):
        found = self.numbers("a")
        self.assertEqual(found, self.numbers("b"), "a transaction took effect by half")
        known = {(writer.number, key) for writer in self.writers for key in writer.tried}
        self.assertLessEqual(set(found), known, "keys that nobody wrote")
        for writer in self.writers:
            for key, tried in writer.tried.items():
                acknowledged = writer.acknowledged.get(key, 0)
                number = found.get((writer.number, key), 0)
                self.assertIn(number, (acknowledged, tried), f"writer {writer.number} key {key}")
                # What was not acknowledged and is there has happened: it must not go any more.
                writer.acknowledged[key] = writer.tried[key] = number

    def compact(self):
        status = self.post("/v3/maintenance/status", {})
        self.post("/v3/kv/compaction", {"revision": status["header"]["revision"]})

    def test_nothing_acknowledged_is_missing_after_any_number_of_kills(self):
        started = time.monotonic()
        self.cluster.start_member(self.member)
        for round_ in range(ROUNDS):
            self.cluster.wait_healthy()
            self.verify()
            if round_ % 5 == 4:
                self.compact()
            self.writers = [writer.again() for writer in self.writers]
            for writer in self.writers:
                writer.start()
            time.sleep(self.random.uniform(SHORTEST, LONGEST))
            self.assertTrue(self.member.running(), self.member.log_tail())
            self.member.kill(signal.SIGKILL)
            for writer in self.writers:
                writer.join()
                self.assertIsNone(writer.error)
            self.cluster.start_member(self.member)
            if self.random.random() < 0.3:  # and once more, as it starts
                time.sleep(self.random.uniform(0, 0.1))
                self.member.kill(signal.SIGKILL)
                self.cluster.start_member(self.member)
        self.cluster.wait_healthy()
        self.verify()
        writes = sum(sum(writer.acknowledged.values()) for writer in self.writers)
        self.assertGreater(writes, ROUNDS * WRITERS)
        print(f"{ROUNDS} kills, {writes} acknowledged transactions, "
              f"{time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        junit.main(sys.modules[__name__])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
