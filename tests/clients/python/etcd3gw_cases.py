"""Python's etcd3gw, which speaks the JSON gateway, against a running cluster."""
import os

import cases
import etcd3gw
import requests
from etcd3gw import lock

HOST, PORT = os.environ["ENDPOINTS"].split(",")[0].rsplit(":", 1)
client = etcd3gw.client(host=HOST, port=int(PORT), timeout=20, api_path="/v3/")


def gateway():
    """Raises Skip if the server has none."""
    if requests.post(f"http://{HOST}:{PORT}/v3/kv/range", json={"key": "YQ=="},
                     timeout=20).status_code == 404:
        raise cases.Skip("the server has no JSON gateway")


def put_get_delete():
    gateway()
    client.put("gw/a", "1")
    cases.expect(client.get("gw/a"), [b"1"])
    cases.expect(client.get_prefix("gw/")[0][1]["key"], b"gw/a")
    cases.expect(client.create("gw/a", "2"), False)
    cases.expect(client.replace("gw/a", "1", "3"), True)
    cases.expect(client.delete("gw/a"), True)
    cases.expect(client.get("gw/a"), [])


def leases():
    gateway()
    lease = client.lease(ttl=60)
    client.put("gw/lease", "1", lease=lease)
    cases.expect(lease.refresh(), 60)
    cases.expect(lease.keys(), [b"gw/lease"])
    cases.expect(lease.revoke(), True)
    cases.expect(client.get("gw/lease"), [])


def watch_events():
    gateway()
    events, cancel = client.watch_prefix("gw/watch/")
    for i in range(10):
        client.put("gw/watch/a", str(i))
    seen = [next(events)["kv"]["value"] for _ in range(10)]
    cancel()
    cases.expect(seen, [str(i).encode() for i in range(10)])


def locks():
    gateway()
    held = lock.Lock("gw", ttl=20, client=client)
    cases.expect(held.acquire(), True)
    cases.expect(lock.Lock("gw", ttl=20, client=client).acquire(), False)
    cases.expect(held.release(), True)


def status_and_members():
    gateway()
    cases.expect(len(client.members()), len(os.environ["ENDPOINTS"].split(",")))
    cases.expect(client.status()["version"] != "", True)


cases.run([(f.__name__.replace("_", " "), f) for f in (
    put_get_delete, leases, watch_events, locks, status_and_members)])
