// npm's etcd3 against a running cluster. Prints one line a case, as tests/clients/run reads
// them: "ok NAME", or "not ok NAME: why".
"use strict";
const assert = require("assert");
const path = require("path");
const { createRequire } = require("module");
const { Etcd3, EtcdLockFailedError, EtcdPermissionDeniedError, EtcdUserExistsError } =
  createRequire(path.join(process.env.CLIENT_HOME, "package.json"))("etcd3");

const hosts = process.env.ENDPOINTS.split(",").map((e) => `http://${e}`);
const client = new Etcd3({ hosts });

const cases = {
  "put, get, delete": async () => {
    await client.put("kv/a").value("1");
    await client.put("kv/b").value("2");
    assert.strictEqual(await client.get("kv/a").string(), "1");
    assert.deepStrictEqual(await client.getAll().prefix("kv/").strings(), { "kv/a": "1", "kv/b": "2" });
    assert.deepStrictEqual(await client.getAll().prefix("kv/").limit(1).keys(), ["kv/a"]);
    assert.strictEqual(await client.getAll().prefix("kv/").count(), 2);
    const deleted = await client.delete().prefix("kv/");
    assert.strictEqual(deleted.deleted, "2");
    assert.strictEqual(await client.get("kv/a"), null);
  },
  transactions: async () => {
    await client.put("txn/a").value("1");
    const yes = await client.if("txn/a", "Value", "==", "1").then(client.put("txn/a").value("2"))
      .else(client.delete().key("txn/a")).commit();
    assert.strictEqual(yes.succeeded, true);
    const no = await client.if("txn/a", "Version", ">", 5).then(client.delete().key("txn/a"))
      .else(client.get("txn/a")).commit();
    assert.strictEqual(no.responses[0].response_range.kvs[0].value.toString(), "2");
  },
  watches: async () => {
    const watcher = await client.watch().prefix("watch/").create();
    const seen = [];
    const done = new Promise((resolve) => {
      watcher.on("put", (kv) => seen.push(kv.value.toString()));
      watcher.on("delete", resolve);
    });
    for (let i = 0; i < 50; i++) await client.put("watch/a").value(i);
    await client.delete().key("watch/a");
    await done;
    await watcher.cancel();
    assert.deepStrictEqual(seen, Array.from({ length: 50 }, (_, i) => String(i)));
  },
  "a watch from the past": async () => {
    const put = await client.put("past/a").value("1");
    await client.put("past/a").value("2");
    const watcher = await client.watch().key("past/a").startRevision(put.header.revision).create();
    const seen = [];
    await new Promise((resolve) => watcher.on("put", (kv) => {
      seen.push(kv.value.toString());
      if (seen.length === 2) resolve();
    }));
    await watcher.cancel();
    assert.deepStrictEqual(seen, ["1", "2"]);
  },
  leases: async () => {
    const lease = client.lease(10);
    await lease.put("lease/a").value("1");
    await lease.keepaliveOnce();
    assert.strictEqual(await client.get("lease/a").string(), "1");
    await lease.revoke();
    assert.strictEqual(await client.get("lease/a"), null);
  },
  locks: async () => {
    await client.lock("lock/a").do(async () => {
      await assert.rejects(client.lock("lock/a").do(() => {}), EtcdLockFailedError);
    });
    await client.lock("lock/a").do(() => {});
  },
  election: async () => {
    const election = client.election("election/a");
    const campaign = election.campaign("me");
    await new Promise((resolve, reject) => {
      campaign.on("elected", resolve);
      campaign.on("error", reject);
    });
    assert.strictEqual(await election.leader(), "me");
    await campaign.resign();
  },
  "software transactions": async () => {
    // In one revision: at this client's strictest isolation, which is its default, keys that
    // were last written at different revisions conflict for ever.
    await client.if("stm/a", "Version", "==", 0)
      .then(client.put("stm/a").value("10"), client.put("stm/b").value("0")).commit();
    await Promise.all([1, 2, 3, 4].map(() => client.stm({ retries: 50 }).transact(async (tx) => {
      const a = Number(await tx.get("stm/a").string());
      const b = Number(await tx.get("stm/b").string());
      await tx.put("stm/a").value(a - 1);
      await tx.put("stm/b").value(b + 1);
    })));
    assert.strictEqual(await client.get("stm/a").string(), "6");
    assert.strictEqual(await client.get("stm/b").string(), "4");
  },
  members: async () => {
    const list = await client.cluster.memberList({});
    assert.strictEqual(list.members.length, hosts.length);
    assert.ok(Number((await client.maintenance.status()).dbSize) > 0);
  },
  authentication: async () => {
    const root = client.user("root");
    await root.create("pw");
    await assert.rejects(root.create("pw"), EtcdUserExistsError);
    await client.role("root").create();
    await root.addRole("root");
    const rory = client.role("rory");
    await rory.create();
    await rory.grant({ permission: "Read", range: client.range({ prefix: "auth/" }) });
    const user = client.user("rory");
    await user.create("rory-pw");
    await user.addRole("rory");
    await client.auth.authEnable();
    const limited = new Etcd3({ hosts, auth: { username: "rory", password: "rory-pw" } });
    const all = new Etcd3({ hosts, auth: { username: "root", password: "pw" } });
    try {
      assert.strictEqual(await limited.get("auth/a"), null);
      await assert.rejects(Promise.resolve(limited.put("auth/a").value("1")), EtcdPermissionDeniedError);
    } finally {
      await all.auth.authDisable();
      limited.close();
      all.close();
    }
  },
};

function withLimit(promise, seconds) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

(async () => {
  let failed = false;
  for (const [name, run] of Object.entries(cases)) {
    try {
      await withLimit(run(), 60);
      console.log(`ok ${name}`);
    } catch (e) {
      failed = true;
      console.log(`not ok ${name}: ${String(e).replace(/\s+/g, " ")}`);
    }
  }
  client.close();
  process.exit(failed ? 1 : 0);
})();
