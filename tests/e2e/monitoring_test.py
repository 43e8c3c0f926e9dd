#!/usr/bin/env python3
"""What Prometheus makes of three real servers: their metrics are well-formed, and the alert rules
of docs/monitoring find in them what they look for, stay silent, and fire when they should."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(ROOT, "tools"))
import cluster as local  # noqa: E402
import junit  # noqa: E402
import promtool  # noqa: E402

BINARY = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="quorate-monitoring-")
RULES = os.path.realpath(os.path.join(ROOT, "docs/monitoring/alerts.yml"))
PROMTOOL = promtool.find()
MINUTES = 300

# What promtool thinks of names, which are etcd's: gauges called "_total", counters that are not,
# abbreviated units, and metrics of a Go library without help.
OPINIONS = ("non-counter metrics should not have \"_total\" suffix",
            "counter metrics should have \"_total\" suffix",
            "non-histogram and non-summary metrics should not have",
            "use base unit", "metric names should not contain abbreviated units",
            "metric name should not include type",
            "label names should be written in 'snake_case' not 'camelCase'")


class Series:
    """One scrape of all members as promtool's tests take it: each sample stands for hours."""

    def __init__(self, pages):
        self.values = {}
        for instance, page in pages.items():
            self.values[f'up{{instance="{instance}",job="etcd"}}'] = "1"
            for line in page.splitlines():
                if line.startswith("#"):
                    continue
                name, labels, value = re.fullmatch(
                    r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line).groups()
                inner = ",".join(filter(None, [labels, f'instance="{instance}"', 'job="etcd"']))
                self.values[f"{name}{{{inner}}}"] = value

    def names(self):
        return {key.split("{")[0] for key in self.values}

    def changed(self, pattern, start, step):
        """A copy in which the series that match begin at `start` and grow by `step` a minute."""
        copy = Series({})
        copy.values = dict(self.values)
        found = [key for key in copy.values if re.search(pattern, key)]
        assert found, f"no series is like {pattern}"
        for key in found:
            copy.values[key] = f"{start}+{step}"
        return copy

    def of_method(self, method):
        """A copy without the series of other methods: a method is as good as all of them, and
        promtool needs a minute for all of them."""
        copy = Series({})
        copy.values = {key: value for key, value in self.values.items()
                       if "grpc_method=" not in key or f'grpc_method="{method}"' in key}
        return copy

    def yaml(self, names):
        """Of these metrics; the others would only take time."""
        for key, value in self.values.items():
            if key.split("{")[0] not in names:
                continue
            start, step = value.split("+", 1) if re.fullmatch(r"\d+\+\d+", value) else (value, "0")
            if "+" in start or "e" in start:
                start = str(int(float(start)))
            text = key.replace("'", "''")
            yield f"      - series: '{text}'\n        values: '{start}+{step}x{MINUTES}'\n"


def run(*arguments, text=None):
    return subprocess.run([PROMTOOL, *arguments], input=text, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)


class Monitoring(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        if PROMTOOL is None:
            what = "promtool is not there (tools/promtool.py fetches it)"
            print(f"SKIPPED: {what}", file=sys.stderr)
            raise unittest.SkipTest(what)
        ports = local.free_ports(6)
        cls.cluster = local.Cluster(BINARY, list(zip(ports[::2], ports[1::2])),
                                    os.path.join(WORK, "three"), extra=["--metrics", "extensive"])
        with cls.cluster as cluster:
            cluster.start()
            cluster.wait_healthy()
            cls.first = {}
            for member in cluster.members:
                with urllib.request.urlopen(f"{member.client_url}/metrics", timeout=20) as reply:
                    cls.first[member.name] = reply.read().decode()
        cls.series = Series(cls.first)

    def test_the_metrics_are_well_formed(self):
        for page in self.first.values():
            done = run("check", "metrics", text=page)
            wrong = [line for line in done.stdout.splitlines()
                     if line and not any(opinion in line for opinion in OPINIONS)]
            self.assertEqual(wrong, [])

    def test_the_first_scrape_has_all_that_rules_and_dashboards_read(self):
        with open(RULES, encoding="utf-8") as f:
            read = set(re.findall(r"\b(?:etcd|grpc)_\w+", f.read())) - {
                "grpc_code", "grpc_method", "grpc_service", "grpc_type"}
        read |= {"etcd_server_proposals_committed_total", "etcd_server_proposals_applied_total",
                 "etcd_server_proposals_pending", "etcd_network_client_grpc_received_bytes_total",
                 "etcd_network_client_grpc_sent_bytes_total", "process_resident_memory_bytes",
                 "etcd_network_peer_received_bytes_total", "etcd_network_peer_sent_bytes_total",
                 "grpc_server_started_total"}
        self.assertEqual(read - self.series.names(), set())

    def alerts(self, series):
        """The alerts that stand after hours of this, as (name, severity)."""
        with open(RULES, encoding="utf-8") as f:
            rules = f.read()
        path = os.path.join(WORK, "test.yml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"rule_files: ['{RULES}']\nevaluation_interval: 1m\n"
                    "tests:\n  - interval: 1m\n    input_series:\n")
            f.writelines(series.yaml(set(re.findall(r"\w+", rules))))
            f.write("    alert_rule_test:\n")
            for name in sorted(set(re.findall(r"alert: (\w+)", rules))):
                f.write(f"      - {{eval_time: {MINUTES - 10}m, alertname: {name}}}\n")
        done = run("test", "rules", path)
        # It expects none, and prints those that are there.
        got = set()
        for block in done.stdout.split("alertname: ")[1:]:
            name = block.split(",")[0]
            for severity in re.findall(r'severity="(\w+)"', block.split("got:")[1]):
                got.add((name, severity))
        if done.returncode != 0 and not got:
            raise AssertionError(done.stdout[:2000])
        return got

    def test_a_cluster_that_is_well_raises_no_alert(self):
        self.assertEqual(self.alerts(self.series), set())

    def test_each_alert_fires_when_it_should(self):
        m1 = r'instance="m1"'
        gib = 1 << 30
        usual = self.series.of_method("Put")
        method = r'grpc_method="Put",.*' + m1
        failing = usual.changed(r"grpc_server_handled_total.*Unavailable.*" + method, 0, 60)
        succeeding = usual.changed(r'grpc_server_handled_total.*="OK".*' + method, 0, 6000)
        slow = r'_bucket.*le="\+Inf".*' + m1
        full = 2 * gib - 1000
        cases = [
            (usual.changed("^up.*" + m1, 0, 0), {("etcdMembersDown", "warning")}),
            (usual.changed("^up.*m[12]", 0, 0),
             {("etcdMembersDown", "warning"), ("etcdInsufficientMembers", "critical")}),
            (usual.changed("peer_sent_failures_total.*" + m1, 0, 60),
             {("etcdMembersDown", "warning")}),
            (usual.changed("has_leader.*" + m1, 0, 0), {("etcdNoLeader", "critical")}),
            (usual.changed("leader_changes_seen_total.*" + m1, 0, 1),
             {("etcdHighNumberOfLeaderChanges", "warning")}),
            (failing, {("etcdHighNumberOfFailedGRPCRequests", "warning"),
                       ("etcdHighNumberOfFailedGRPCRequests", "critical")}),
            (succeeding.changed(r"grpc_server_handled_total.*Unavailable.*" + method, 0, 120),
             {("etcdHighNumberOfFailedGRPCRequests", "warning")}),
            (succeeding, set()),
            (usual.changed("grpc_server_handling_seconds" + slow, 0, 60),
             {("etcdGRPCRequestsSlow", "critical")}),
            (usual.changed("peer_round_trip_time_seconds" + slow, 0, 60),
             {("etcdMemberCommunicationSlow", "warning")}),
            (usual.changed("proposals_failed_total.*" + m1, 0, 1),
             {("etcdHighNumberOfFailedProposals", "warning")}),
            (usual.changed("wal_fsync_duration_seconds" + slow, 0, 60),
             {("etcdHighFsyncDurations", "warning"), ("etcdHighFsyncDurations", "critical")}),
            (usual.changed("backend_commit_duration_seconds" + slow, 0, 60),
             {("etcdHighCommitDurations", "warning")}),
            (usual.changed("total_size_(in_use_)?in_bytes.*" + m1, full, 0),
             {("etcdDatabaseQuotaLowSpace", "critical")}),
            (usual.changed("mvcc_db_total_size_in_bytes.*" + m1, 0, gib // 200),
             {("etcdExcessiveDatabaseGrowth", "warning")}),
            (usual.changed("total_size_in_bytes.*" + m1, gib, 0).changed(
                "total_size_in_use_in_bytes.*" + m1, gib // 4, 0),
             {("etcdDatabaseHighFragmentationRatio", "warning")}),
        ]
        for series, expected in cases:
            self.assertEqual(self.alerts(series), expected)


if __name__ == "__main__":
    try:
        junit.main(sys.modules[__name__])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
