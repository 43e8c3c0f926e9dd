//go:build etcdctl

// Pins the release of etcdctl that tests/clients/run builds.
package main

import _ "go.etcd.io/etcd/etcdctl/v3"
