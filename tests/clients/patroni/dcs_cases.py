"""Patroni's DCS module for etcd 3, which speaks the JSON gateway, against a running cluster.

Patroni decides here who may be the primary database: leader key, members, configuration,
history and their leases, as its own high-availability loop calls them.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
import cases  # noqa: E402
import requests  # noqa: E402
from patroni.dcs import get_dcs  # noqa: E402

ENDPOINTS = os.environ["ENDPOINTS"].split(",")


def gateway():
    """Raises Skip if the server has none."""
    if requests.post(f"http://{ENDPOINTS[0]}/v3/kv/range", json={"key": "YQ=="},
                     timeout=20).status_code == 404:
        raise cases.Skip("the server has no JSON gateway")


def node(name):
    """The DCS object of one database server."""
    return get_dcs({"etcd3": {"hosts": ENDPOINTS}, "scope": "batman", "name": name,
                    "namespace": "/service", "ttl": 30, "retry_timeout": 10, "loop_wait": 10,
                    "patronictl": False})


def fresh(dcs):
    """The cluster as another loop would see it now."""
    return dcs.get_cluster()


def expect_soon(look, wanted, seconds=10):
    deadline = time.monotonic() + seconds
    while look() != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    cases.expect(look(), wanted)


def initialize_race():
    gateway()
    one, two = node("one"), node("two")
    cases.expect(bool(one.initialize(create_new=True, sysid="42")), True)
    cases.expect(bool(two.initialize(create_new=True, sysid="43")), False)
    cases.expect(fresh(two).initialize, "42")


def leader_lock():
    gateway()
    one, two = node("one"), node("two")
    for dcs in (one, two):
        cases.expect(bool(dcs.touch_member({"state": "running", "conn_url": "postgres://x"})), True)
    cases.expect(bool(one.attempt_to_acquire_leader()), True)
    cases.expect(bool(two.attempt_to_acquire_leader()), False)
    seen = fresh(two)
    cases.expect(seen.leader.name, "one")
    cases.expect(sorted(m.name for m in seen.members), ["one", "two"])
    cases.expect(bool(one.update_leader(fresh(one), 12345)), True)
    expect_soon(lambda: fresh(two).status.last_lsn, 12345)  # by a cache that a watch feeds
    cases.expect(bool(one.delete_leader(fresh(one).leader)), True)
    cases.expect(bool(two.attempt_to_acquire_leader()), True)


def configuration_and_history():
    gateway()
    dcs = node("two")
    cases.expect(bool(dcs.set_config_value(json.dumps({"ttl": 20}))), True)
    cases.expect(bool(dcs.set_history_value(json.dumps([[1, 2, "no recovery target"]]))), True)
    seen = fresh(dcs)
    cases.expect(seen.config.data, {"ttl": 20})
    cases.expect(seen.history.lines[0][:2], [1, 2])


def failover_key():
    gateway()
    dcs = node("two")
    cases.expect(bool(dcs.set_failover_value(json.dumps({"leader": "two", "member": "one"}))), True)
    seen = fresh(dcs)
    cases.expect((seen.failover.leader, seen.failover.candidate), ("two", "one"))
    cases.expect(bool(dcs.manual_failover("", "", version=seen.failover.version)), True)


cases.run([(f.__name__.replace("_", " "), f) for f in (
    initialize_race, leader_lock, configuration_and_history, failover_key)])
