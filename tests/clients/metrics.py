#!/usr/bin/env python3
"""Quorate's metrics beside real etcd's, after the same load: names, types, labels, buckets, and
the values of what both must count alike.

  bazel run -c opt //tests/clients:metrics -- --etcd PATH

Both servers run alone, from empty directories, on free ports, with --metrics=extensive. Exit
status 0 if the only differences are those that are listed here as known.
"""
import argparse
import base64
import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import cluster as local  # noqa: E402
import etcd as real_etcd  # noqa: E402

# Of Go's runtime, which is not there.
ABSENT = re.compile(r"go_|etcd_server_go_version$")
# What is counted by hand in both, so that the values must be equal after the load.
EQUAL = [
    "etcd_mvcc_range_total", "etcd_mvcc_put_total", "etcd_mvcc_delete_total",
    "etcd_mvcc_txn_total", "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_debugging_mvcc_events_total", "etcd_debugging_mvcc_pending_events_total",
    "etcd_debugging_mvcc_keys_total", "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_compact_revision", "etcd_debugging_mvcc_watcher_total",
    "etcd_debugging_mvcc_watch_stream_total", "etcd_debugging_mvcc_slow_watcher_total",
    "etcd_debugging_mvcc_db_compaction_keys_total", "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_revoked_total", "etcd_debugging_lease_renewed_total",
    "etcd_mvcc_hash_rev_duration_seconds_count", "etcd_debugging_lease_ttl_total_count",
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count",
    "etcd_server_slow_read_indexes_total", "etcd_server_read_indexes_failed_total",
    "etcd_server_has_leader", "etcd_server_is_leader",
]
# What etcd counts more: it looks up a key of its own at each compaction that succeeds.
MORE_IN_ETCD = {"etcd_mvcc_range_total": 1}
# A histogram's or a label's values that differ because the servers do.
FREE_LABELS = {"server_id", "server_version", "cluster_version", "Local", "Remote", "le",
               "client_api_version", "name", "stage"}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="metrics", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject", required=True, help="the server under test")
    parser.add_argument("--etcd", default="module" if shutil.which("go") else None, required=False,
                        help="a binary of 3.7, or module: built with Go")
    return parser.parse_args()


class Page:
    """One scrape: types by name, samples by name and labels."""

    def __init__(self, text):
        self.types, self.samples = {}, {}
        for line in text.splitlines():
            kind = re.fullmatch(r"# TYPE (\S+) (\S+)", line)
            if kind:
                self.types[kind[1]] = kind[2]
                continue
            sample = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
            if sample and not line.startswith("#"):
                labels = tuple(sorted(re.findall(r'(\w+)="([^"]*)"', sample[2] or "")))
                self.samples[sample[1], labels] = float(sample[3])

    def value(self, name):
        return sum(v for (n, _), v in self.samples.items() if n == name)

    def labels(self, name):
        """Sets of label names, and with values those that are not free."""
        return {tuple((k, "*" if k in FREE_LABELS else v) for k, v in labels)
                for n, labels in self.samples if n == name}

    def buckets(self, name):
        return {dict(labels)["le"] for n, labels in self.samples if n == name + "_bucket"}


class Driver:
    def __init__(self, url):
        self.url = url

    def call(self, path, **message):
        request = urllib.request.Request(self.url + path, json.dumps(message).encode(),
                                         method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            return {"refused": error.code}

    def load(self):
        def text(value):
            return base64.b64encode(value.encode()).decode()

        def put(key, **more):
            return {"key": text(key), "value": text("value"), **more}

        def compare(key):
            return {"key": text(key), "target": "VERSION", "result": "EQUAL", "version": "0"}

        watch = urllib.request.Request(
            self.url + "/v3/watch", json.dumps({"create_request": {
                "key": text("a"), "range_end": text("b")}}).encode(), method="POST")
        stream = urllib.request.urlopen(watch, timeout=20)
        stream.readline()
        for i in range(10):
            self.call("/v3/kv/put", **put(f"a{i % 4}"))
        self.call("/v3/kv/put", **put("a0", prev_kv=True))
        self.call("/v3/kv/put", **put("a0", ignore_lease=True))
        self.call("/v3/kv/put", **put("b0", ignore_lease=True))  # refused: no such key
        self.call("/v3/kv/range", key=text("a"), range_end=text("b"))
        self.call("/v3/kv/range", key=text("a"), serializable=True)
        self.call("/v3/kv/range", key=text("a"), revision="1000")  # refused: the future
        self.call("/v3/kv/deleterange", key=text("a1"), prev_kv=True)
        self.call("/v3/kv/deleterange", key=text("nothing"))
        guarded = {"compare": [compare("t")], "success": [{"request_put": put("t")}]}
        for _ in range(2):
            self.call("/v3/kv/txn", **guarded)
        self.call("/v3/kv/txn", compare=[compare("u"), compare("v")], success=[
            {"request_put": put("u", prev_kv=True)}, {"request_range": {"key": text("u")}},
            {"request_delete_range": {"key": text("a2")}}])
        self.call("/v3/kv/txn", compare=[compare("u"), compare("v")], failure=[
            {"request_range": {"key": text("u")}}, {"request_range": {"key": text("v")}}])
        self.call("/v3/kv/txn", success=[{"request_txn": guarded}])
        lease = self.call("/v3/lease/grant", TTL="600", ID="77")["ID"]
        for key in ("l1", "l2", "l3"):
            self.call("/v3/kv/put", **put(key, lease=lease))
        self.call("/v3/lease/keepalive", ID=lease)
        self.call("/v3/lease/revoke", ID=lease)
        self.call("/v3/maintenance/hashkv", revision="0")
        revision = self.call("/v3/kv/range", key=text("a"))["header"]["revision"]
        self.call("/v3/kv/compaction", revision=revision, physical=True)
        self.call("/v3/kv/compaction", revision=revision)  # refused: compacted
        time.sleep(1)
        with urllib.request.urlopen(self.url + "/metrics", timeout=20) as reply:
            page = reply.read().decode()
        stream.close()
        return page


def page_of(binary, directory):
    with local.Cluster(binary, local.free_port_pairs(1), directory,
                       extra=["--metrics=extensive"]) as cluster:
        cluster.start()
        cluster.wait_healthy()
        time.sleep(1)  # the version of the cluster is agreed on, the member published
        member = cluster.members[0]
        with urllib.request.urlopen(member.client_url + "/metrics", timeout=20) as reply:
            first = Page(reply.read().decode())
        return first, Page(Driver(member.client_url).load())


def compare_pages(etcd, ours, first_etcd, first_ours):
    differences = []
    for name in sorted(etcd.types):
        if ABSENT.match(name):
            continue
        if name not in ours.types:
            differences.append(f"missing: {name}")
            continue
        if name in first_etcd.types and name not in first_ours.types:
            differences.append(f"not there at the first scrape: {name}")
        if etcd.types[name] != ours.types[name]:
            differences.append(f"type of {name}: {etcd.types[name]}, ours {ours.types[name]}")
        sample = name + "_count" if etcd.types[name] == "histogram" else name
        for labels in sorted(etcd.labels(sample) - ours.labels(sample)):
            differences.append(f"series: {sample}{dict(labels)}")
        if etcd.buckets(name) != ours.buckets(name):
            differences.append(f"buckets of {name}: {sorted(etcd.buckets(name))}, ours "
                               f"{sorted(ours.buckets(name))}")
    for name in EQUAL:
        grown = [page.value(name) - (first.value(name) if name.endswith(("_total", "_count"))
                                     else 0)
                 for page, first in ((etcd, first_etcd), (ours, first_ours))]
        grown[0] -= MORE_IN_ETCD.get(name, 0)
        if grown[0] != grown[1]:
            differences.append(f"value of {name}: {grown[0]}, ours {grown[1]}")
    return differences


def main():
    options = parse_arguments()
    if options.etcd is None:
        sys.exit("metrics: --etcd is needed where there is no Go")
    etcd = real_etcd.module() if options.etcd == "module" else options.etcd
    directory = tempfile.mkdtemp(prefix="quorate-metrics-")
    try:
        first_etcd, last_etcd = page_of(etcd, os.path.join(directory, "etcd"))
        first_ours, last_ours = page_of(options.subject, os.path.join(directory, "quorate"))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    differences = compare_pages(last_etcd, last_ours, first_etcd, first_ours)
    for difference in differences:
        print(difference)
    print(f"{len(last_etcd.types)} metrics of etcd, {len(last_ours.types)} of Quorate, "
          f"{len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (local.ClusterError, real_etcd.EtcdError) as error:
        sys.exit(f"metrics: {error}")
