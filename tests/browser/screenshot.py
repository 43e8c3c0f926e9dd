#!/usr/bin/env python3
"""Opens a local HTML file in headless Chromium and looks at it.

    screenshot.py page.html [more.html ...] [--out FOLDER] [--need TEXT ...]

A page passes if it loads without one line on the console (an error and a stray log are
both mistakes in a page of ours), if it loads nothing from elsewhere, if the picture of it
is not blank, and if each --need text is in the document once its scripts have run. The PNG stays in
--out. Exit status: 0 all pass, 1 one does not, 77 no Chromium here (said loudly).

As a module: check_page(path, needed=[...], out=folder) raises PageError.
"""
import argparse
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

SKIPPED = 77
NAMES = ("chromium", "chromium-browser", "google-chrome")
# A page of text and plots has many colours (of smoothed edges) and much ink; a browser's
# empty page or error message has neither.
MIN_COLOURS = 8
MIN_INK = 0.002
TIMEOUT_SECONDS = 120
# What a self-contained page does not have: anything that is loaded from elsewhere.
OUTSIDE = re.compile(r"<(?:img|script|iframe|audio|video|source|embed)\b[^>]*\ssrc=[\"'](?!data:)|"
                     r"<link\b[^>]*\shref=[\"'](?!data:)|@import|url\([\"']?https?:")


class PageError(Exception):
    """What is wrong with a page."""


def find_chromium():
    """The path of a Chromium, or None."""
    for name in NAMES:
        found = shutil.which(name) or shutil.which(name, path="/usr/bin:/usr/local/bin")
        if found:
            return found
    return None


def command(chromium, profile, *options):
    return [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--enable-logging=stderr", "--v=0", f"--user-data-dir={profile}",
            "--virtual-time-budget=5000", *options]


def run_browser(chromium, url, *options):
    """(standard output, lines that the page wrote on its console)."""
    with tempfile.TemporaryDirectory(prefix="quorate-browser-") as profile:
        environment = {**os.environ, "HOME": profile, "XDG_CONFIG_HOME": profile,
                       "XDG_CACHE_HOME": profile}
        done = subprocess.run(command(chromium, profile, *options, url), env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT_SECONDS, check=False)
    errors = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise PageError(f"{chromium} ended with status {done.returncode}: {errors[-500:]}")
    # Chromium's own pages have a console, too.
    console = [line for line in errors.splitlines()
               if re.search(r":CONSOLE[:(]", line) and "source: chrome://" not in line]
    return done.stdout.decode(errors="replace"), console


def read_png(path):
    """(width, height, bytes a pixel, rows) of an 8-bit PNG that is not interlaced."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise PageError(f"{path} is no PNG")
    at, packed, header = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
    width, height, depth, colour, _, _, interlaced = header
    if depth != 8 or interlaced or colour not in (2, 6):
        raise PageError(f"{path}: a PNG of a kind that this does not read")
    size = 3 if colour == 2 else 4
    return width, height, size, unfilter(zlib.decompress(packed), width * size, height, size)


def paeth(a, b, c):
    pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    if pa <= pb and pa <= pc:
        return a
    return b if pb <= pc else c


def unfilter(raw, stride, height, size):
    rows, above = [], bytearray(stride)
    for y in range(height):
        start = y * (stride + 1)
        kind, row = raw[start], bytearray(raw[start + 1:start + 1 + stride])
        if kind == 2 and not any(row):
            row = bytearray(above)
        elif kind != 0:
            for x in range(stride):
                left = row[x - size] if x >= size else 0
                up = above[x]
                corner = above[x - size] if x >= size else 0
                row[x] = (row[x] + (left, up, (left + up) // 2, paeth(left, up, corner))
                          [kind - 1]) & 255
        rows.append(row)
        above = row
    return rows


def check_not_blank(path):
    _, _, size, rows = read_png(path)
    counts = {}
    for row in rows:
        for x in range(0, len(row), size):
            pixel = bytes(row[x:x + 3])
            counts[pixel] = counts.get(pixel, 0) + 1
    total = sum(counts.values())
    ink = 1 - max(counts.values()) / total
    if len(counts) < MIN_COLOURS or ink < MIN_INK:
        raise PageError(f"{path} looks blank: {len(counts)} colours, "
                        f"{100 * ink:.2f}% other than the background")


def check_page(path, needed=(), out=None, chromium=None, size=(1000, 800)):
    """Raises PageError unless the page passes; the path of its picture."""
    chromium = chromium or find_chromium()
    if not chromium:
        raise PageError("no Chromium on this machine")
    if not os.path.isfile(path):
        raise PageError(f"there is no {path}")
    url = "file://" + os.path.abspath(path)
    out = out or tempfile.mkdtemp(prefix="quorate-shots-")
    os.makedirs(out, exist_ok=True)
    picture = os.path.join(out, os.path.splitext(os.path.basename(path))[0] + ".png")
    _, console = run_browser(chromium, url, f"--screenshot={picture}",
                             f"--window-size={size[0]},{size[1]}")
    document, more = run_browser(chromium, url, "--dump-dom")
    if console or more:
        raise PageError(f"{path} wrote on the console: " + "\n".join(console or more))
    outside = OUTSIDE.search(document)
    if outside:
        raise PageError(f"{path} is not self-contained: {outside.group(0)!r}")
    if not os.path.isfile(picture):
        raise PageError(f"no picture of {path} came out")
    check_not_blank(picture)
    for text in needed:
        if text not in document:
            raise PageError(f"{path}: the document does not have {text!r}")
    return picture


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+")
    parser.add_argument("--out", help="folder for the pictures")
    parser.add_argument("--need", action="append", default=[], help="text that must be there")
    options = parser.parse_args()
    chromium = find_chromium()
    if not chromium:
        print("SKIPPED: SCREENSHOT TEST DID NOT RUN: no Chromium on this machine "
              "(Debian: apt-get install chromium)", file=sys.stderr)
        return SKIPPED
    failed = False
    for page in options.pages:
        try:
            print(f"{page}: ok, {check_page(page, options.need, options.out, chromium)}")
        except (PageError, subprocess.TimeoutExpired) as e:
            print(f"{page}: FAILED: {e}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
