#!/usr/bin/env python3
"""Quorate and real etcd, given the same requests: every answer must be the same.

  bazel run -c opt //tests/clients:differential -- --requests 100000 --seed 7

Both servers run alone, from empty directories, on free ports; a seed's requests are the
same in every run. Exit status 0 if there was no difference and every type of request was
sent and answered without error often enough.

  --etcd debian      Debian's etcd (3.4), unpacked into the cache; needs no Go
  --etcd module      the release that tests/clients/etcd/go.mod names, built with Go
  --etcd PATH        any other binary
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import cluster as local  # noqa: E402
import etcd as real_etcd  # noqa: E402

# Everything: also leases and authentication.
DEFAULT_TYPES = "all"


def parse_arguments():
    parser = argparse.ArgumentParser(prog="differential", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--subject", required=True, help="the server under test")
    parser.add_argument("--etcd", default="module" if shutil.which("go") else "debian")
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--seed", default="1", help="one, or several with commas")
    parser.add_argument("--types", default=DEFAULT_TYPES,
                        help="types of request, or kv, watch, lease, auth, all")
    parser.add_argument("--hash-every", type=int, default=100)
    parser.add_argument("--refusals", action="store_true", help="count refusals by their texts")
    parser.add_argument("--verbose", action="store_true", help="print every request")
    parser.add_argument("--dir", default="/dev/shm" if os.path.isdir("/dev/shm") else None,
                        help="where the servers' data goes for the time of the run")
    return parser.parse_args()


def find_etcd(name):
    if name == "debian":
        return real_etcd.debian()
    return real_etcd.module() if name == "module" else name


def flags_for(binary):
    """Flags that show more in a short time, as far as the server has them."""
    shown = subprocess.run([binary, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, check=False).stdout
    wanted = [("--bcrypt-cost", "4"), ("--log-level", "error"),
              ("--watch-progress-notify-interval", "200ms"),
              ("--experimental-watch-progress-notify-interval", "200ms")]
    return [f"{flag}={value}" for flag, value in wanted if flag in shown]


def single(name, binary, directory):
    ports = local.free_ports(2)
    return local.Cluster(binary, [tuple(ports)], os.path.join(directory, name),
                         extra=flags_for(binary))


def run(seed, etcd, release, options):
    """One run from empty stores; the client's exit status."""
    directory = tempfile.mkdtemp(prefix="quorate-differential-", dir=options.dir)
    try:
        with single("etcd", etcd, directory) as reference, \
                single("subject", options.subject, directory) as subject:
            for cluster in (reference, subject):
                cluster.start()
            for cluster in (reference, subject):
                cluster.wait_healthy()
            command = [options.client, "--reference", reference.endpoints,
                       "--subject", subject.endpoints, "--release", release,
                       "--types", options.types, "--seed", seed,
                       "--requests", str(options.requests), "--hash-every", str(options.hash_every)]
            command += ["--refusals"] if options.refusals else []
            command += ["--verbose"] if options.verbose else []
            status = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
            for name, cluster in (("etcd", reference), ("the subject", subject)):
                if not cluster.members[0].running():
                    print(f"{name} has stopped; the end of its log:\n"
                          + cluster.members[0].log_tail(), flush=True)
                    status = status or 1
            return status
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    options = parse_arguments()
    etcd = find_etcd(options.etcd)
    version = real_etcd.version(etcd)
    release = ".".join(version.split(".")[:2])
    failed = []
    for seed in options.seed.split(","):
        print(f"seed {seed}: {options.requests} requests of {options.types} to Quorate and to etcd "
              f"{version}", flush=True)
        if run(seed, etcd, release, options) != 0:
            failed.append(seed)
    print(f"FAILED seeds: {', '.join(failed)}" if failed else "no difference", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (local.ClusterError, real_etcd.EtcdError) as e:
        sys.exit(f"differential: {e}")
