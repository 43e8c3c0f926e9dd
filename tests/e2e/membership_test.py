#!/usr/bin/env python3
"""Clusters of real processes whose members come and go, driven by the real etcdctl.

The flags, texts and exit statuses are etcd's: given etcd's own binary as its argument, this
test passes, too.
"""
import json
import os
import re
import shutil
import signal
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
WORK = tempfile.mkdtemp(prefix="quorate-membership-")


class Writer:
    """Writes one key after another, through whichever member answers."""

    def __init__(self, endpoints):
        self.endpoints = endpoints
        self.acknowledged = []
        self.failures = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.ending.set()
        self.thread.join()

    def run(self):
        number = 0
        while not self.ending.is_set():
            number += 1
            key = f"w/{number:06}"
            done = local.Etcdctl(self.endpoints()).run("put", key, str(number),
                                                       "--command-timeout", "3s")
            if done.returncode == 0:
                self.acknowledged.append(key)
            else:
                self.failures += 1


class Membership(unittest.TestCase):
    def setUp(self):
        self.directory = os.path.join(WORK, self.id().rsplit(".", 1)[1])
        self.cluster = None
        self.added = 0

    def tearDown(self):
        if self.cluster is not None:
            self.cluster.stop()

    def found(self, size):
        ports = local.free_ports(2 * size)
        self.cluster = local.Cluster(BINARY, list(zip(ports[::2], ports[1::2])), self.directory)
        self.cluster.start()
        self.cluster.wait_healthy()
        self.added = size

    @property
    def ctl(self):
        return local.Etcdctl(self.cluster.endpoints)

    def member_rows(self, endpoints=None):
        """3.4's etcdctl is told what the member that it asks has applied; a linearizable read
        before it makes sure that this holds every change that was answered."""
        for endpoint in (endpoints or self.cluster.endpoints).split(","):
            if self.ctl.run("get", "a", endpoints=endpoint).returncode == 0:
                reply = self.ctl("member", "list", "-w", "json", endpoints=endpoint)
                return json.loads(reply)["members"]
        return self.fail("no member answers")

    def id_of(self, member):
        for row in self.member_rows():
            if row["peerURLs"] == [member.peer_url]:
                return f"{row['ID']:x}"
        self.fail(f"{member.name} is not in the list of members")

    def change(self, *arguments, endpoints=None):
        """A change of the membership, asked for until the members have been connected for
        long enough and the cluster is calm; gives its output. A removal that went without an
        answer (it was the leader's) may be found done."""
        unanswered = []

        def attempt():
            done = self.ctl.run("member", *arguments, "--command-timeout", "20s",
                                endpoints=endpoints)
            if done.returncode == 0:
                return done.stdout
            if unanswered and arguments[0] == "remove" and "member not found" in done.stderr:
                return "Member 0 removed from cluster 0"
            if "deadline exceeded" in done.stderr or "timed out" in done.stderr:
                unanswered.append(done.stderr)
            again = ("unhealthy cluster", "in sync with leader", "leader changed", "timed out",
                     "deadline exceeded", "not enough started", "too many learner")
            if not any(text in done.stderr for text in again):
                self.fail(f"member {' '.join(arguments)}: {done.stderr}")
            return None
        return local.wait_until(attempt, 60, f"member {' '.join(arguments)} is accepted")

    def new_member(self):
        self.added += 1
        ports = local.free_ports(2)
        return local.Member(BINARY, f"m{self.added}", *ports, self.directory)

    def add(self, learner=False):
        member = self.new_member()
        output = self.change("add", member.name, "--peer-urls", member.peer_url,
                             *(["--learner"] if learner else []))
        self.assertRegex(output, r"Member +[0-9a-f]+ added to cluster +[0-9a-f]+")
        initial = re.search(r'ETCD_INITIAL_CLUSTER="(.*)"', output).group(1)
        self.assertIn(f"{member.name}={member.peer_url}", initial)
        self.assertIn('ETCD_INITIAL_CLUSTER_STATE="existing"', output)
        member.start(initial, "no matter", state="existing")
        self.cluster.members.append(member)
        if learner:
            local.wait_until(lambda: self.is_up(member), 30, f"{member.name} has started")
        else:
            self.cluster.wait_healthy(members=[member])
        return member

    def is_up(self, member):
        if not member.running():
            raise local.ClusterError(f"{member.name} has ended:\n{member.log_tail()}")
        return self.ctl.run("endpoint", "status", endpoints=member.endpoint).returncode == 0

    def remove(self, member):
        asked = ",".join(m.endpoint for m in self.cluster.members if m is not member)
        output = self.change("remove", self.id_of(member), endpoints=asked)
        self.assertRegex(output, r"Member +[0-9a-f]+ removed from cluster +[0-9a-f]+")
        self.cluster.members.remove(member)

    def assert_ends_by_itself(self, member):
        local.wait_until(lambda: not member.running(), 20, f"{member.name} has ended by itself")
        self.assertEqual(member.process.returncode, 0)
        said = "the member has been permanently removed from the cluster" in member.log_tail(1000)
        self.assertTrue(said, f"{member.log_path} does not say why")

    def assert_equal(self):
        local.wait_until(lambda: len({row[1:] for row in self.ctl.hashes()}) == 1, 20,
                         "all members have the same data")

    def assert_refused(self, text, *arguments, endpoints=None):
        refused = self.ctl.run(*arguments, endpoints=endpoints)
        self.assertNotEqual(refused.returncode, 0, refused.stdout)
        self.assertIn(text, refused.stderr)

    def test_grows_to_five_and_shrinks_to_one_while_writes_go_on(self):
        self.found(1)
        with Writer(lambda: self.cluster.endpoints) as writer:
            for size in (2, 3, 4, 5):
                self.add()
                self.assertEqual(len(self.member_rows()), size)
            for size in (4, 3, 2, 1):
                member = self.cluster.members[0]
                self.remove(member)
                self.assert_ends_by_itself(member)
                self.assertEqual(len(self.member_rows()), size)
        self.assertGreater(len(writer.acknowledged), 20)
        kept = self.ctl("get", "w/", "--prefix", "--keys-only").split()
        self.assertLessEqual(set(writer.acknowledged), set(kept))

    def found_and_lose_a_disk(self):
        """Of three members, which have a key, the one that is killed and has no directory any more."""
        self.found(3)
        self.ctl("put", "a", "1")
        member = self.cluster.members[2]
        member.kill(signal.SIGKILL)
        shutil.rmtree(member.data_dir)
        local.wait_until(lambda: self.ctl.leader(self.cluster), 20, "one of the others leads")
        return member

    def test_a_dead_member_is_replaced(self):
        dead = self.found_and_lose_a_disk()
        self.remove(dead)
        self.ctl("put", "a", "2")
        self.add()
        self.assert_equal()
        # The new member counts: without another one the cluster goes on.
        self.cluster.members[0].kill(signal.SIGKILL)
        rest = ",".join(m.endpoint for m in self.cluster.members[1:])
        local.wait_until(lambda: self.ctl.run("put", "a", "3", endpoints=rest).returncode == 0,
                         30, "two of three members accept a write")

    def test_a_founder_that_lost_its_disk_is_refused(self):
        forgetful = self.found_and_lose_a_disk()
        forgetful.start(self.cluster.initial_cluster, self.cluster.token)
        local.wait_until(lambda: not forgetful.running(), 20, "it has ended by itself")
        self.assertEqual(forgetful.process.returncode, 1)
        self.assertRegex(forgetful.log_tail(), "member [0-9a-f]+ has already been bootstrapped")
        # As a new member it may come back.
        self.remove(forgetful)
        self.add()
        self.assert_equal()

    def test_a_learner_is_added_and_promoted(self):
        self.found(3)
        voters = ",".join(m.endpoint for m in self.cluster.members)
        learner = self.add(learner=True)
        row = next(r for r in self.member_rows(voters) if r["peerURLs"] == [learner.peer_url])
        self.assertTrue(row["isLearner"])
        refusal = "etcdserver: rpc not supported for learner"
        for command in (("get", "a"), ("put", "a", "1"), ("member", "list")):
            self.assert_refused(refusal, *command, endpoints=learner.endpoint)
        self.ctl("put", "a", "1", endpoints=voters)
        local.wait_until(
            lambda: "1" in self.ctl("get", "a", "--consistency", "s", endpoints=learner.endpoint),
            20, "the learner has the data")
        self.assert_refused("etcdserver: too many learner members in cluster", "member", "add",
                            "m9", "--peer-urls", "http://127.0.0.1:1", "--learner",
                            endpoints=voters)
        leader = self.ctl.leader(self.cluster)
        follower = next(m for m in self.cluster.members if m not in (leader, learner))
        self.change("promote", f"{row['ID']:x}", endpoints=follower.endpoint)
        for asked in (leader, follower):
            self.assert_refused("etcdserver: can only promote a learner member", "member",
                                "promote", f"{row['ID']:x}", endpoints=asked.endpoint)
        self.cluster.wait_healthy(members=[learner])
        self.ctl("put", "a", "2", endpoints=learner.endpoint)
        self.assert_equal()

    def test_a_member_moves_to_another_address(self):
        self.found(3)
        member = self.cluster.members[1]
        identity = self.id_of(member)
        member.peer_port = local.free_ports(1)[0]
        self.change("update", identity, "--peer-urls", member.peer_url)
        self.assertEqual(self.id_of(member), identity)
        member.kill(signal.SIGTERM)
        self.cluster.start_member(member)
        self.cluster.wait_healthy()
        self.ctl("put", "a", "1", endpoints=member.endpoint)
        self.assert_equal()

    def test_a_removed_member_that_was_away_ends_when_it_comes_back(self):
        self.found(3)
        away = self.cluster.members[0]
        away.kill(signal.SIGKILL)
        local.wait_until(lambda: self.ctl.leader(self.cluster), 20, "one of the others leads")
        initial = self.cluster.initial_cluster
        self.remove(away)
        away.start(initial, self.cluster.token)
        self.assert_ends_by_itself(away)

    def test_a_new_cluster_of_one_when_the_majority_is_lost(self):
        self.found(3)
        with Writer(lambda: self.cluster.endpoints) as writer:
            local.wait_until(lambda: len(writer.acknowledged) >= 20, 60, "some keys are written")
        self.assert_equal()
        last = self.cluster.members[0]
        identity = self.id_of(last)
        for member in self.cluster.members:
            member.kill(signal.SIGKILL)
        self.cluster.members = [last]
        last.start(self.cluster.initial_cluster, self.cluster.token,
                   extra=["--force-new-cluster"])
        self.cluster.wait_healthy()
        self.assertEqual([f"{row['ID']:x}" for row in self.member_rows()], [identity])
        found = self.ctl("get", "--prefix", "w/", "--keys-only").split()
        self.assertLessEqual(set(writer.acknowledged), set(found))
        self.ctl("put", "after", "1")
        # Without the flag it goes on, and takes new members.
        self.assertEqual(last.kill(signal.SIGTERM), -signal.SIGTERM)
        self.cluster.start_member(last)
        self.cluster.wait_healthy()
        second = self.add()
        self.assertEqual(self.ctl("get", "after", endpoints=second.endpoint).split(),
                         ["after", "1"])

    def test_refusals(self):
        self.found(1)
        first = self.cluster.members[0]
        self.assert_refused("etcdserver: Peer URLs already exists", "member", "add", "m9",
                            "--peer-urls", first.peer_url)
        for command in (("remove",), ("promote",), ("update", "--peer-urls", "http://h:1")):
            self.assert_refused("etcdserver: member not found", "member", command[0], "123",
                                *command[1:])
        self.assert_refused("etcdserver: re-configuration failed due to not enough started members",
                            "member", "remove", self.id_of(first))
        unstarted = self.new_member()
        self.change("add", unstarted.name, "--peer-urls", unstarted.peer_url, "--learner")
        # Two members in the cluster, three in the flags.
        stranger = self.new_member()
        stranger.start(",".join(f"{m.name}={m.peer_url}" for m in (first, unstarted, stranger)),
                       "t", state="existing")
        local.wait_until(lambda: not stranger.running(), 20, "the stranger has given up")
        self.assertEqual(stranger.process.returncode, 1)
        self.assertIn("member count is unequal", stranger.log_tail(50))

    def test_move_leader(self):
        self.found(3)
        leader = local.wait_until(lambda: self.ctl.leader(self.cluster), 20, "somebody leads")
        target = next(m for m in self.cluster.members if m is not leader)
        identity = self.id_of(target)
        self.assert_refused("etcdserver: bad leader transferee", "move-leader", "123")
        output = self.ctl("move-leader", identity)
        self.assertIn("Leadership transferred from", output)
        self.assertIs(self.ctl.leader(self.cluster), target)

    def test_members_know_each_other_on_the_peer_port(self):
        self.found(1)
        member = self.cluster.members[0]
        with urllib.request.urlopen(member.peer_url + "/members", timeout=10) as reply:
            rows = json.load(reply)
            self.assertTrue(reply.headers["X-Etcd-Cluster-ID"])
        self.assertEqual(rows, [{"id": self.member_rows()[0]["ID"], "name": "m1",
                                 "peerURLs": [member.peer_url],
                                 "clientURLs": ["http://" + member.endpoint]}])
        for path, status in (("/members/promote/123", 404), ("/members/promote/x", 404)):
            request = urllib.request.Request(member.peer_url + path, method="POST")
            with self.assertRaises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(request, timeout=10)
            self.assertEqual(raised.exception.code, status)
            raised.exception.close()


if __name__ == "__main__":
    try:
        junit.main(sys.modules[__name__])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
