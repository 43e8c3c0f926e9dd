"""Programs out of Debian's packages, unpacked into the user's cache and not installed: some of
these packages would start a service."""
import glob
import os
import pwd
import subprocess
import tempfile

# Tests in Bazel's sandbox have no HOME.
CACHE = os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".cache/quorate")


class DebianError(Exception):
    """Something a user can act on; the message says what."""


def unpacked(package, folder, program):
    """The path of usr/bin/`program` in `folder` of the cache; downloads `package` if it is not
    there yet."""
    target = os.path.join(CACHE, folder, "debian")
    path = os.path.join(target, "usr/bin", program)
    if os.path.exists(path):
        return path
    os.makedirs(target, exist_ok=True)
    with tempfile.TemporaryDirectory() as download:
        os.chmod(download, 0o777)  # apt's download user writes here
        done = subprocess.run(["apt-get", "download", "-q", package], cwd=download,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        packages = glob.glob(os.path.join(download, package + "_*.deb"))
        if done.returncode != 0 or not packages:
            raise DebianError(f"cannot download Debian's {package} (apt-get update first?):\n"
                              + done.stdout)
        subprocess.run(["dpkg-deb", "-x", packages[0], target], check=True)
    return path
