// Kubernetes' own storage suites (k8s.io/apiserver/pkg/storage/testing), driven through
// etcd3.New as its API server does, against a running cluster. tests/clients/run starts the
// cluster and counts the cases.
package kubernetes

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	suite "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/utils/clock"
)

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

func init() {
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
}

// What a transformer that can be exchanged looks like to the store.
type exchangeable struct {
	current atomic.Pointer[value.Transformer]
}

func (e *exchangeable) set(t value.Transformer) { e.current.Store(&t) }
func (e *exchangeable) get() value.Transformer  { return *e.current.Load() }

func (e *exchangeable) TransformFromStorage(ctx context.Context, data []byte, c value.Context) ([]byte, bool, error) {
	return e.get().TransformFromStorage(ctx, data, c)
}

func (e *exchangeable) TransformToStorage(ctx context.Context, data []byte, c value.Context) ([]byte, error) {
	return e.get().TransformToStorage(ctx, data, c)
}

// A store of its own on the shared cluster, with what the suites want to reach besides.
type fixture struct {
	storage.Interface
	client      *kubernetes.Client
	recorder    *suite.KubernetesRecorder
	compactor   interface{ UpdateCompactRevision(int64) }
	codec       runtime.Codec
	transformer *exchangeable
}

func (f *fixture) UpdatePrefixTransformer(change suite.PrefixTransformerModifier) func() {
	before := f.transformer.get()
	changed := *before.(*suite.PrefixTransformer) // the suites change what they are given
	f.transformer.set(change(&changed))
	return func() { f.transformer.set(before) }
}

func (f *fixture) UpdateTransformer(change suite.TransformerModifier) func() {
	before := f.transformer.get()
	f.transformer.set(change(before))
	return func() { f.transformer.set(before) }
}

func newFixture(t *testing.T) (context.Context, *fixture) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	client, err := kubernetes.New(clientv3.Config{
		Endpoints:   strings.Split(os.Getenv("ENDPOINTS"), ","),
		DialTimeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		client:      client,
		codec:       apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion),
		transformer: &exchangeable{},
	}
	// The suites compare texts that hold whole keys: each begins with an empty store instead
	// of with a prefix of its own.
	if _, err := client.Client.Delete(ctx, "/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	f.recorder = suite.NewKubernetesRecorder(client.Kubernetes)
	client.Kubernetes = f.recorder
	f.transformer.set(suite.NewPrefixTransformer([]byte("test!"), false))
	compactor := etcd3.NewCompactor(client.Client, 0, clock.RealClock{}, nil)
	f.compactor = compactor
	versioner := storage.APIObjectVersioner{}
	store, err := etcd3.New(client, compactor, f.codec,
		func() runtime.Object { return &example.Pod{} }, func() runtime.Object { return &example.PodList{} },
		"", "/pods/", schema.GroupResource{Resource: "pods"}, f.transformer,
		etcd3.NewDefaultLeaseManagerConfig(), etcd3.NewDefaultDecoder(f.codec, versioner), versioner)
	if err != nil {
		t.Fatal(err)
	}
	f.Interface = store
	t.Cleanup(func() {
		store.Close()
		compactor.Stop()
		cancel()
		client.Close()
	})
	return ctx, f
}

// Compacts as Kubernetes does, through the key that its API servers share.
func (f *fixture) compact(ctx context.Context, t *testing.T, resourceVersion string) {
	revision, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := f.client.Client.Get(ctx, "compact_rev_key")
	if err != nil {
		t.Fatal(err)
	}
	version := int64(0)
	if len(shared.Kvs) > 0 {
		version = shared.Kvs[0].Version
	}
	if _, _, _, err := etcd3.Compact(ctx, f.client.Client, version, revision); err != nil {
		t.Fatal(err)
	}
	f.compactor.UpdateCompactRevision(revision)
}

func (f *fixture) increase(ctx context.Context, t *testing.T) int64 {
	put, err := f.client.Client.Put(ctx, "other", "x")
	if err != nil {
		t.Fatal(err)
	}
	return put.Header.Revision
}

func (f *fixture) keyExists(ctx context.Context, t *testing.T, key string) {
	get, err := f.client.Client.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if len(get.Kvs) != 1 {
		t.Errorf("no key %s", key)
	}
}

func anyCalls(*testing.T, uint64, uint64) {}

// What RunTest... functions without further wishes have in common.
type plain func(context.Context, *testing.T, storage.Interface)

func TestStore(t *testing.T) {
	for name, run := range map[string]plain{
		"CreateWithTTL":                     suite.RunTestCreateWithTTL,
		"CreateWithKeyExist":                suite.RunTestCreateWithKeyExist,
		"Get":                               suite.RunTestGet,
		"UnconditionalDelete":               suite.RunTestUnconditionalDelete,
		"ConditionalDelete":                 suite.RunTestConditionalDelete,
		"DeleteWithSuggestion":              suite.RunTestDeleteWithSuggestion,
		"DeleteWithSuggestionAndConflict":   suite.RunTestDeleteWithSuggestionAndConflict,
		"DeleteWithConflict":                suite.RunTestDeleteWithConflict,
		"DeleteWithSuggestionOfDeleted":     suite.RunTestDeleteWithSuggestionOfDeletedObject,
		"ValidateDeletionWithSuggestion":    suite.RunTestValidateDeletionWithSuggestion,
		"ValidateDeletionOnlySuggestion":    suite.RunTestValidateDeletionWithOnlySuggestionValid,
		"PreconditionalDelete":              suite.RunTestPreconditionalDeleteWithSuggestion,
		"PreconditionalDeleteOnlySuggested": suite.RunTestPreconditionalDeleteWithOnlySuggestionPass,
		"GetListRecursivePrefix":            suite.RunTestGetListRecursivePrefix,
		"GuaranteedUpdateWithTTL":           suite.RunTestGuaranteedUpdateWithTTL,
		"GuaranteedUpdateWithConflict":      suite.RunTestGuaranteedUpdateWithConflict,
		"GuaranteedUpdateSuggestedConflict": suite.RunTestGuaranteedUpdateWithSuggestionAndConflict,
		"ListPaging":                        suite.RunTestListPaging,
		"NamespaceScopedList":               suite.RunTestNamespaceScopedList,
		"KeySchema":                         suite.RunTestKeySchema,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, f := newFixture(t)
			run(ctx, t, f)
		})
	}
	for name, run := range map[string]func(context.Context, *testing.T, *fixture){
		"Create": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestCreate(ctx, t, f, f.keyExists)
		},
		"List": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestList(ctx, t, f, f.compact, false, f.recorder)
		},
		"ConsistentList": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestConsistentList(ctx, t, f, f.increase, false, true, false)
		},
		"GetListNonRecursive": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestGetListNonRecursive(ctx, t, f.increase, f)
		},
		"ListContinuation": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestListContinuation(ctx, t, f, anyCalls)
		},
		"ListPaginationRareObject": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestListPaginationRareObject(ctx, t, f, anyCalls)
		},
		"ListContinuationWithFilter": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestListContinuationWithFilter(ctx, t, f, anyCalls)
		},
		"ListInconsistentContinuation": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestListInconsistentContinuation(ctx, t, f, f.compact)
		},
		"ListResourceVersionMatch": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestListResourceVersionMatch(ctx, t, f)
		},
		"GetListWithoutErrorAggregation": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestGetListWithoutErrorAggregation(ctx, t, f, errors.New("cannot be decoded"))
		},
		"GuaranteedUpdate": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestGuaranteedUpdate(ctx, t, f, f.keyExists)
		},
		"GuaranteedUpdateChecksStoredData": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestGuaranteedUpdateChecksStoredData(ctx, t, f)
		},
		"TransformationFailure": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestTransformationFailure(ctx, t, f)
		},
		"Stats": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestStats(ctx, t, f, f.codec, f.transformer, false)
		},
		"CompactRevision": func(ctx context.Context, t *testing.T, f *fixture) {
			suite.RunTestCompactRevision(ctx, t, f, f.increase, f.compact)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, f := newFixture(t)
			run(ctx, t, f)
		})
	}
}

func TestWatch(t *testing.T) {
	for name, run := range map[string]plain{
		"Watch":                  suite.RunTestWatch,
		"DeleteTriggerWatch":     suite.RunTestDeleteTriggerWatch,
		"FromNonZero":            suite.RunTestWatchFromNonZero,
		"DelayedDelivery":        suite.RunTestDelayedWatchDelivery,
		"ContextCancel":          suite.RunTestWatchContextCancel,
		"Timeout":                suite.RunTestWatcherTimeout,
		"DeleteEventHasLatestRV": suite.RunTestWatchDeleteEventObjectHaveLatestRV,
		"InitializationSignal":   suite.RunTestWatchInitializationSignal,
		"ClusterScoped":          suite.RunTestClusterScopedWatch,
		"NamespaceScoped":        suite.RunTestNamespaceScopedWatch,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, f := newFixture(t)
			run(ctx, t, f)
		})
	}
	t.Run("FromZero", func(t *testing.T) {
		ctx, f := newFixture(t)
		suite.RunTestWatchFromZero(ctx, t, f, f.compact)
	})
	t.Run("Error", func(t *testing.T) {
		ctx, f := newFixture(t)
		suite.RunTestWatchError(ctx, t, f)
	})
	t.Run("DispatchBookmarkEvents", func(t *testing.T) {
		ctx, f := newFixture(t)
		suite.RunTestWatchDispatchBookmarkEvents(ctx, t, f, false)
	})
}

// What feature gates and probes of the API server ask for.
func TestHealth(t *testing.T) {
	ctx, f := newFixture(t)
	if err := f.ReadinessCheck(); err != nil {
		t.Error(err)
	}
	for _, endpoint := range f.client.Endpoints() {
		status, err := f.client.Status(ctx, endpoint)
		if err != nil || status.DbSize == 0 || !strings.HasPrefix(status.Version, "3.") {
			t.Errorf("status of %s: %v, %v", endpoint, status, err)
		}
	}
	if err := f.RequestWatchProgress(ctx); err != nil {
		t.Error(err)
	}
}
