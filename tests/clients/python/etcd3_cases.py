"""Python's etcd3 against a running cluster."""
import os
import queue
import threading

import cases
import etcd3

HOST, PORT = os.environ["ENDPOINTS"].split(",")[0].rsplit(":", 1)
client = etcd3.client(host=HOST, port=int(PORT), timeout=20)


def put_get_delete():
    client.put("kv/a", "1")
    value, meta = client.get("kv/a")
    cases.expect((value, meta.version), (b"1", 1))
    client.put("kv/b", "2")
    cases.expect([v for v, _ in client.get_prefix("kv/")], [b"1", b"2"])
    cases.expect([m.key for _, m in client.get_prefix("kv/", sort_order="descend")],
                 [b"kv/b", b"kv/a"])
    cases.expect([v for v, _ in client.get_range("kv/a", "kv/b")], [b"1"])
    cases.expect(client.delete("kv/a"), True)
    cases.expect(client.delete("kv/a"), False)
    cases.expect(client.delete_prefix("kv/").deleted, 1)
    cases.expect(client.get("kv/a"), (None, None))


def replace_and_put_if_absent():
    cases.expect(client.put_if_not_exists("once", "1"), True)
    cases.expect(client.put_if_not_exists("once", "2"), False)
    cases.expect(client.replace("once", "1", "3"), True)
    cases.expect(client.replace("once", "1", "4"), False)


def transaction():
    client.put("txn/a", "1")
    succeeded, responses = client.transaction(
        compare=[client.transactions.value("txn/a") == "1",
                 client.transactions.version("txn/a") > 0],
        success=[client.transactions.put("txn/a", "2"), client.transactions.get("txn/a")],
        failure=[client.transactions.delete("txn/a")])
    cases.expect(succeeded, True)
    cases.expect(responses[1][0][0], b"2")


def watch_events():
    events, cancel = client.watch_prefix("watch/")
    for i in range(50):
        client.put("watch/a", str(i))
    client.delete("watch/a")
    seen = [next(events) for _ in range(51)]
    cancel()
    cases.expect([e.value for e in seen[:50]], [str(i).encode() for i in range(50)])
    cases.expect(type(seen[50]).__name__, "DeleteEvent")


def watch_of_a_compacted_revision():
    client.put("compact/a", "1")
    _, meta = client.get("compact/a")
    client.put("compact/a", "2")
    client.compact(meta.mod_revision + 1)
    events, _ = client.watch("compact/a", start_revision=meta.mod_revision)
    cases.expect_error(etcd3.exceptions.RevisionCompactedError, next, events)


def leases():
    lease = client.lease(60)
    client.put("lease/a", "1", lease=lease)
    cases.expect(lease.granted_ttl, 60)
    cases.expect([r.TTL for r in lease.refresh()], [60])
    cases.expect(list(lease.keys), [b"lease/a"])
    lease.revoke()
    cases.expect(client.get("lease/a")[0], None)


def lock_is_exclusive():
    with client.lock("lock/a", ttl=20):
        other = client.lock("lock/a", ttl=20)
        cases.expect(other.acquire(timeout=1), False)
    again = client.lock("lock/a", ttl=20)
    cases.expect(again.acquire(timeout=10), True)
    cases.expect(again.is_acquired(), True)
    again.release()


def locks_hand_over():
    held = client.lock("lock/b", ttl=20)
    held.acquire()
    got = queue.Queue()

    def waiter():
        mine = etcd3.client(host=HOST, port=int(PORT), timeout=20).lock("lock/b", ttl=20)
        got.put(mine.acquire(timeout=20))
        mine.release()

    thread = threading.Thread(target=waiter)
    thread.start()
    held.release()
    cases.expect(got.get(timeout=30), True)
    thread.join()


def members_and_status():
    members = list(client.members)
    cases.expect(len(members), len(os.environ["ENDPOINTS"].split(",")))
    status = client.status()
    cases.expect(status.leader is not None and status.db_size > 0, True)
    cases.expect(list(client.list_alarms()), [])


def errors_by_kind():
    lost = etcd3.client(host=HOST, port=1, timeout=5)
    cases.expect_error(etcd3.exceptions.ConnectionFailedError, lost.get, "a")


cases.run([(f.__name__.replace("_", " "), f) for f in (
    put_get_delete, replace_and_put_if_absent, transaction, watch_events,
    watch_of_a_compacted_revision, leases, lock_is_exclusive, locks_hand_over,
    members_and_status, errors_by_kind)])
