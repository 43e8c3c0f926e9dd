// Go's clientv3 and its concurrency package against a running cluster. Prints one line a
// case, as tests/clients/run reads them: "ok NAME", or "not ok NAME: why".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/clientv3util"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/client/v3/ordering"
)

type testCase struct {
	name string
	run  func(ctx context.Context, c *clientv3.Client) error
}

func check(condition bool, format string, args ...any) error {
	if condition {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// The first error, so that a case can be written as a list of steps.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func putAndGet(ctx context.Context, c *clientv3.Client) error {
	put, err := c.Put(ctx, "kv/a", "1", clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	again, err := c.Put(ctx, "kv/a", "2", clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	get, err := c.Get(ctx, "kv/a")
	if err != nil {
		return err
	}
	old, err := c.Get(ctx, "kv/a", clientv3.WithRev(put.Header.Revision))
	if err != nil {
		return err
	}
	gone, err := c.Delete(ctx, "kv/", clientv3.WithPrefix(), clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	return first(
		check(put.PrevKv == nil && string(again.PrevKv.Value) == "1", "previous values"),
		check(len(get.Kvs) == 1 && string(get.Kvs[0].Value) == "2" && get.Kvs[0].Version == 2, "got %v", get.Kvs),
		check(string(old.Kvs[0].Value) == "1", "old revision has %v", old.Kvs),
		check(gone.Deleted == 1 && string(gone.PrevKvs[0].Value) == "2", "deleted %v", gone))
}

func ranges(ctx context.Context, c *clientv3.Client) error {
	for i := 0; i < 25; i++ {
		if _, err := c.Put(ctx, fmt.Sprintf("range/%02d", i), fmt.Sprint(i)); err != nil {
			return err
		}
	}
	limited, err := c.Get(ctx, "range/", clientv3.WithPrefix(), clientv3.WithLimit(10),
		clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend))
	if err != nil {
		return err
	}
	count, err := c.Get(ctx, "range/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	keys, err := c.Get(ctx, "range/20", clientv3.WithRange("range/23"), clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	from, err := c.Get(ctx, "range/23", clientv3.WithFromKey(), clientv3.WithSerializable())
	if err != nil {
		return err
	}
	return first(
		check(len(limited.Kvs) == 10 && limited.More && limited.Count == 25, "limit: %d of %d", len(limited.Kvs), limited.Count),
		check(string(limited.Kvs[0].Key) == "range/24", "the newest first, got %s", limited.Kvs[0].Key),
		check(count.Count == 25 && len(count.Kvs) == 0, "count only: %v", count),
		check(len(keys.Kvs) == 3 && len(keys.Kvs[0].Value) == 0, "keys only: %v", keys.Kvs),
		check(from.Count >= 2, "from key: %d", from.Count))
}

func transactions(ctx context.Context, c *clientv3.Client) error {
	created, err := c.Txn(ctx).If(clientv3util.KeyMissing("txn/a")).
		Then(clientv3.OpPut("txn/a", "1"), clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.Version("txn/a"), ">", 0)},
			[]clientv3.Op{clientv3.OpPut("txn/b", "nested")}, nil)).Commit()
	if err != nil {
		return err
	}
	refused, err := c.Txn(ctx).If(clientv3.Compare(clientv3.Value("txn/a"), "=", "other")).
		Then(clientv3.OpDelete("txn/a")).Else(clientv3.OpGet("txn/a")).Commit()
	if err != nil {
		return err
	}
	_, twice := c.Txn(ctx).Then(clientv3.OpPut("txn/c", "1"), clientv3.OpPut("txn/c", "2")).Commit()
	return first(
		check(created.Succeeded, "a missing key was not created"),
		check(!refused.Succeeded && string(refused.Responses[0].GetResponseRange().Kvs[0].Value) == "1", "else branch: %v", refused),
		check(errors.Is(twice, rpctypes.ErrDuplicateKey), "a key twice: %v", twice))
}

func errorsByName(ctx context.Context, c *clientv3.Client) error {
	put, err := c.Put(ctx, "errors/a", "1")
	if err != nil {
		return err
	}
	_, future := c.Get(ctx, "errors/a", clientv3.WithRev(put.Header.Revision+1000))
	_, empty := c.Put(ctx, "", "x")
	_, large := c.Put(ctx, "errors/large", strings.Repeat("x", 1600*1024))
	_, lease := c.Put(ctx, "errors/a", "1", clientv3.WithLease(12345))
	if _, err := c.Compact(ctx, put.Header.Revision); err != nil {
		return err
	}
	_, compacted := c.Get(ctx, "errors/a", clientv3.WithRev(put.Header.Revision-1))
	_, again := c.Compact(ctx, put.Header.Revision)
	return first(
		check(errors.Is(future, rpctypes.ErrFutureRev), "future revision: %v", future),
		check(errors.Is(empty, rpctypes.ErrEmptyKey), "empty key: %v", empty),
		check(errors.Is(large, rpctypes.ErrRequestTooLarge), "large request: %v", large),
		check(errors.Is(lease, rpctypes.ErrLeaseNotFound), "unknown lease: %v", lease),
		check(errors.Is(compacted, rpctypes.ErrCompacted), "compacted revision: %v", compacted),
		check(errors.Is(again, rpctypes.ErrCompacted), "compacting again: %v", again))
}

func watches(ctx context.Context, c *clientv3.Client) error {
	put, err := c.Put(ctx, "watch/a", "0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	events := c.Watch(ctx, "watch/", clientv3.WithPrefix(), clientv3.WithRev(put.Header.Revision), clientv3.WithPrevKV())
	for i := 1; i < 200; i++ {
		if _, err := c.Put(ctx, "watch/a", fmt.Sprint(i)); err != nil {
			return err
		}
	}
	if _, err := c.Delete(ctx, "watch/a"); err != nil {
		return err
	}
	seen := 0
	for response := range events {
		if err := response.Err(); err != nil {
			return err
		}
		for _, event := range response.Events {
			if seen == 200 {
				return check(event.Type == clientv3.EventTypeDelete && string(event.PrevKv.Value) == "199", "last event %v", event)
			}
			if want := fmt.Sprint(seen); string(event.Kv.Value) != want {
				return fmt.Errorf("event %s in place of %s", event.Kv.Value, want)
			}
			seen++
		}
	}
	return fmt.Errorf("the watch ended after %d events", seen)
}

func watchProgressAndCompaction(ctx context.Context, c *clientv3.Client) error {
	put, err := c.Put(ctx, "progress/a", "0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := c.Watch(ctx, "progress/", clientv3.WithPrefix(), clientv3.WithCreatedNotify(), clientv3.WithRev(put.Header.Revision+1))
	if created := <-events; !created.Created {
		return fmt.Errorf("no note of the creation: %v", created)
	}
	// A watch that has not begun yet makes no progress.
	if _, err := c.Put(ctx, "progress/a", "1"); err != nil {
		return err
	}
	if event := <-events; len(event.Events) != 1 || string(event.Events[0].Kv.Value) != "1" {
		return fmt.Errorf("not the event: %v", event)
	}
	if err := c.RequestProgress(ctx); err != nil {
		return err
	}
	if progress := <-events; !progress.IsProgressNotify() || progress.Header.Revision <= put.Header.Revision {
		return fmt.Errorf("no progress: %v", progress)
	}
	if _, err := c.Compact(ctx, put.Header.Revision+1); err != nil {
		return err
	}
	old := <-c.Watch(ctx, "progress/", clientv3.WithPrefix(), clientv3.WithRev(put.Header.Revision))
	return check(errors.Is(old.Err(), rpctypes.ErrCompacted) && old.CompactRevision > put.Header.Revision, "a compacted watch: %v", old)
}

func leases(ctx context.Context, c *clientv3.Client) error {
	grant, err := c.Grant(ctx, 3)
	if err != nil {
		return err
	}
	if _, err := c.Put(ctx, "lease/a", "1", clientv3.WithLease(grant.ID)); err != nil {
		return err
	}
	kept, cancel := context.WithCancel(ctx)
	defer cancel()
	alive, err := c.KeepAlive(kept, grant.ID)
	if err != nil {
		return err
	}
	for i := 0; i < 4; i++ {
		if response := <-alive; response == nil || response.TTL != 3 {
			return fmt.Errorf("keep-alive %d: %v", i, response)
		}
	}
	left, err := c.TimeToLive(ctx, grant.ID, clientv3.WithAttachedKeys())
	if err != nil {
		return err
	}
	list, err := c.Leases(ctx)
	if err != nil {
		return err
	}
	if _, err := c.Revoke(ctx, grant.ID); err != nil {
		return err
	}
	gone, err := c.Get(ctx, "lease/a")
	if err != nil {
		return err
	}
	_, unknown := c.KeepAliveOnce(ctx, grant.ID)
	return first(
		check(left.GrantedTTL == 3 && len(left.Keys) == 1, "time to live: %v", left),
		check(len(list.Leases) >= 1, "no leases listed"),
		check(len(gone.Kvs) == 0, "the key outlived its lease"),
		check(errors.Is(unknown, rpctypes.ErrLeaseNotFound), "keep-alive of nothing: %v", unknown))
}

func session(ctx context.Context, c *clientv3.Client) (*concurrency.Session, error) {
	return concurrency.NewSession(c, concurrency.WithTTL(10), concurrency.WithContext(ctx))
}

func mutex(ctx context.Context, c *clientv3.Client) error {
	const clients, rounds = 4, 5
	counter := 0
	var group sync.WaitGroup
	results := make([]error, clients)
	for i := 0; i < clients; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			results[i] = func() error {
				s, err := session(ctx, c)
				if err != nil {
					return err
				}
				defer s.Close()
				m := concurrency.NewMutex(s, "mutex/a")
				for round := 0; round < rounds; round++ {
					if err := m.Lock(ctx); err != nil {
						return err
					}
					counter++ // a race if two hold the lock
					if err := m.Unlock(ctx); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	group.Wait()
	return first(append(results, check(counter == clients*rounds, "counted %d", counter))...)
}

func tryLock(ctx context.Context, c *clientv3.Client) error {
	one, err := session(ctx, c)
	if err != nil {
		return err
	}
	defer one.Close()
	two, err := session(ctx, c)
	if err != nil {
		return err
	}
	defer two.Close()
	if err := concurrency.NewMutex(one, "mutex/try").TryLock(ctx); err != nil {
		return err
	}
	locked := concurrency.NewMutex(two, "mutex/try").TryLock(ctx)
	return check(errors.Is(locked, concurrency.ErrLocked), "a second lock: %v", locked)
}

func election(ctx context.Context, c *clientv3.Client) error {
	one, err := session(ctx, c)
	if err != nil {
		return err
	}
	defer one.Close()
	two, err := session(ctx, c)
	if err != nil {
		return err
	}
	defer two.Close()
	leader, next := concurrency.NewElection(one, "election/a"), concurrency.NewElection(two, "election/a")
	if err := leader.Campaign(ctx, "first"); err != nil {
		return err
	}
	observed := next.Observe(ctx)
	if r := <-observed; string(r.Kvs[0].Value) != "first" {
		return fmt.Errorf("observed %v", r)
	}
	won := make(chan error, 1)
	go func() { won <- next.Campaign(ctx, "second") }()
	if err := leader.Proclaim(ctx, "still first"); err != nil {
		return err
	}
	if r := <-observed; string(r.Kvs[0].Value) != "still first" {
		return fmt.Errorf("observed %v", r)
	}
	if err := leader.Resign(ctx); err != nil {
		return err
	}
	if err := <-won; err != nil {
		return err
	}
	now, err := leader.Leader(ctx)
	if err != nil {
		return err
	}
	return check(string(now.Kvs[0].Value) == "second", "leader is %v", now.Kvs)
}

// Through one member: the recipe reads on at the revision of its first read, without asking
// for a linearizable answer, and another member need not have got so far.
func softwareTransactions(ctx context.Context, all *clientv3.Client) error {
	c, err := clientv3.New(clientv3.Config{Endpoints: all.Endpoints()[:1], DialTimeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer c.Close()
	for i := 0; i < 4; i++ {
		if _, err := c.Put(ctx, fmt.Sprintf("stm/%d", i), "100"); err != nil {
			return err
		}
	}
	var group sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		group.Add(1)
		go func() {
			defer group.Done()
			_, results[i] = concurrency.NewSTM(c, func(s concurrency.STM) error {
				from, to := fmt.Sprintf("stm/%d", i%4), fmt.Sprintf("stm/%d", (i+1)%4)
				var a, b int
				fmt.Sscan(s.Get(from), &a)
				fmt.Sscan(s.Get(to), &b)
				s.Put(from, fmt.Sprint(a-5))
				s.Put(to, fmt.Sprint(b+5))
				return nil
			})
		}()
	}
	group.Wait()
	sum := 0
	get, err := c.Get(ctx, "stm/", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, kv := range get.Kvs {
		n := 0
		fmt.Sscan(string(kv.Value), &n)
		sum += n
	}
	return first(append(results, check(sum == 400, "money was made: %d", sum))...)
}

func namespaces(ctx context.Context, c *clientv3.Client) error {
	kv := namespace.NewKV(c.KV, "space/")
	if _, err := kv.Put(ctx, "a", "1"); err != nil {
		return err
	}
	inside, err := kv.Get(ctx, "a")
	if err != nil {
		return err
	}
	outside, err := c.Get(ctx, "space/a")
	if err != nil {
		return err
	}
	return check(string(inside.Kvs[0].Key) == "a" && len(outside.Kvs) == 1, "%v %v", inside, outside)
}

func orderedAndLeasedReads(ctx context.Context, c *clientv3.Client) error {
	ordered := ordering.NewKV(c.KV, func(clientv3.Op, clientv3.OpResponse, int64) error { return ordering.ErrNoGreaterRev })
	leased, stop, err := leasing.NewKV(c, "leasing/")
	if err != nil {
		return err
	}
	defer stop()
	if _, err := leased.Put(ctx, "leased/a", "1"); err != nil {
		return err
	}
	for i := 0; i < 3; i++ {
		get, err := leased.Get(ctx, "leased/a")
		if err != nil {
			return err
		}
		if string(get.Kvs[0].Value) != "1" {
			return fmt.Errorf("leased read: %v", get.Kvs)
		}
	}
	if _, err := c.Put(ctx, "ordered/a", "1"); err != nil {
		return err
	}
	_, err = ordered.Get(ctx, "ordered/a")
	return err
}

func mirrors(ctx context.Context, c *clientv3.Client) error {
	for i := 0; i < 5; i++ {
		if _, err := c.Put(ctx, fmt.Sprintf("mirror/%d", i), "x"); err != nil {
			return err
		}
	}
	base, errs := mirror.NewSyncer(c, "mirror/", 0).SyncBase(ctx)
	count := 0
	for response := range base {
		count += len(response.Kvs)
	}
	return first(<-errs, check(count == 5, "mirrored %d keys", count))
}

func cluster(ctx context.Context, c *clientv3.Client) error {
	members, err := c.MemberList(ctx)
	if err != nil {
		return err
	}
	if err := c.Sync(ctx); err != nil {
		return err
	}
	hashes := map[uint32]bool{}
	revision := int64(0)
	for _, endpoint := range c.Endpoints() {
		status, err := c.Status(ctx, endpoint)
		if err != nil {
			return err
		}
		if status.Leader == 0 || status.DbSize == 0 || status.Version == "" {
			return fmt.Errorf("status of %s: %v", endpoint, status)
		}
		// At one revision: others write meanwhile.
		if revision == 0 {
			revision = status.Header.Revision
		}
		hash, err := c.HashKV(ctx, endpoint, revision)
		if err != nil {
			return err
		}
		hashes[hash.Hash] = true
		if _, err := c.Defragment(ctx, endpoint); err != nil && !strings.Contains(err.Error(), "not implemented yet") {
			return err
		}
	}
	return first(
		check(len(members.Members) == len(c.Endpoints()), "%d members, %d endpoints", len(members.Members), len(c.Endpoints())),
		check(len(hashes) == 1, "members differ: %v", hashes))
}

func endpointsAreAllUsable(ctx context.Context, c *clientv3.Client) error {
	for _, endpoint := range c.Endpoints() {
		one, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second})
		if err != nil {
			return err
		}
		_, err = one.Put(ctx, "endpoint/a", endpoint)
		one.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", endpoint, err)
		}
	}
	return nil
}

func streamedRange(ctx context.Context, c *clientv3.Client) error {
	value := strings.Repeat("v", 100*1024)
	for i := 0; i < 40; i++ {
		if _, err := c.Put(ctx, fmt.Sprintf("big/%03d", i), value); err != nil {
			return err
		}
	}
	get, err := c.Get(ctx, "big/", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	return check(len(get.Kvs) == 40 && len(get.Kvs[39].Value) == len(value), "%d keys", len(get.Kvs))
}

// Last: afterwards each request needs a user.
func authentication(ctx context.Context, c *clientv3.Client) error {
	steps := []func() error{
		func() error { _, err := c.UserAdd(ctx, "root", "pw"); return err },
		func() error { _, err := c.RoleAdd(ctx, "root"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := c.UserAdd(ctx, "alice", "alice-pw"); return err },
		func() error { _, err := c.RoleAdd(ctx, "reader"); return err },
		func() error {
			_, err := c.RoleGrantPermission(ctx, "reader", "auth/", clientv3.GetPrefixRangeEnd("auth/"), clientv3.PermissionType(clientv3.PermRead))
			return err
		},
		func() error { _, err := c.UserGrantRole(ctx, "alice", "reader"); return err },
		func() error { _, err := c.AuthEnable(ctx); return err },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	_, anonymous := c.Get(ctx, "auth/a")
	_, wrong := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Username: "alice", Password: "no", DialTimeout: 5 * time.Second})
	alice, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Username: "alice", Password: "alice-pw", DialTimeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer alice.Close()
	_, read := alice.Get(ctx, "auth/a")
	_, write := alice.Put(ctx, "auth/a", "1")
	watch := <-alice.Watch(ctx, "elsewhere")
	root, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Username: "root", Password: "pw", DialTimeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer root.Close()
	_, disabled := root.AuthDisable(ctx)
	return first(
		check(errors.Is(anonymous, rpctypes.ErrUserEmpty), "without a user: %v", anonymous),
		check(wrong != nil && strings.Contains(wrong.Error(), "authentication failed"), "wrong password: %v", wrong),
		read,
		check(errors.Is(write, rpctypes.ErrPermissionDenied), "writing without permission: %v", write),
		check(watch.Canceled && strings.Contains(watch.Err().Error(), "permission denied"), "watching without permission: %v", watch.Err()),
		disabled)
}

func main() {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   strings.Split(os.Getenv("ENDPOINTS"), ","),
		DialTimeout: 5 * time.Second,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	failed := false
	for _, c := range []testCase{
		{"put and get", putAndGet}, {"ranges", ranges}, {"transactions", transactions},
		{"errors by name", errorsByName}, {"watches", watches},
		{"watch progress and compaction", watchProgressAndCompaction}, {"leases", leases},
		{"mutex", mutex}, {"try lock", tryLock}, {"election", election},
		{"software transactions", softwareTransactions}, {"namespaces", namespaces},
		{"ordered and leased reads", orderedAndLeasedReads}, {"mirror", mirrors},
		{"cluster and maintenance", cluster}, {"every endpoint", endpointsAreAllUsable},
		{"large range", streamedRange}, {"authentication", authentication},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		if err := c.run(ctx, client); err != nil {
			failed = true
			fmt.Printf("not ok %s: %v\n", c.name, err)
		} else {
			fmt.Printf("ok %s\n", c.name)
		}
		cancel()
	}
	if failed {
		os.Exit(1)
	}
}
