#!/usr/bin/env python3
"""A real server under clients that mean harm, each beside a normal one: the normal one is served
all the while, the other gets the protocol's answer, and the server's memory stays bounded.

Frames are made by hand, since no library would send them. An attack goes on until the normal
client has done enough; nothing here depends on how long anything takes."""
import base64
import http.client
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import cluster as local  # noqa: E402
import junit  # noqa: E402

BINARY = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="quorate-hostile-")

# AddressSanitizer keeps what is freed for a while, 256 MiB by default: not what is measured here.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9)
END_STREAM, END_HEADERS = 1, 4
PROTOCOL_ERROR, FRAME_SIZE_ERROR, ENHANCE_YOUR_CALM = 1, 6, 11
# The server refuses streams beyond this number on one connection.
MAX_STREAMS = 100_000


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header field without indexing, for texts shorter than 127 bytes."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def request_headers(path=b"/etcdserverpb.KV/Range", content_type=b"application/grpc"):
    return b"".join(literal(*field) for field in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path),
        (b":authority", b"server"), (b"te", b"trailers"), (b"content-type", content_type)))


def grpc_message(payload):
    return b"\0" + struct.pack(">I", len(payload)) + payload


def b64(text):
    return base64.b64encode(text.encode()).decode()


def first_status(reader):
    """Of the first HTTP/1.1 answer on a socket; None if the server closed it before."""
    head = b""
    try:
        while b"\r\n" not in head:
            piece = reader.recv(4096)
            if not piece:
                return None
            head += piece
    except ConnectionError:
        return None
    return int(head.split()[1])


class Http2:
    """One raw connection."""

    def __init__(self, endpoint, window=None):
        host, port = endpoint.split(":")
        self.socket = socket.socket()
        if window is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.connect((host, int(port)))
        self.socket.settimeout(60)
        self.send(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, data):
        self.socket.sendall(data)

    def send_unless_closed(self, data):
        """False once the server has hung up."""
        try:
            self.socket.sendall(data)
            return True
        except (ConnectionError, BrokenPipeError):
            return False

    def _read(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                return None
            data += piece
        return data

    def next_frame(self):
        """(kind, flags, stream, payload), or None at the end of the connection."""
        try:
            head = self._read(9)
            if head is None:
                return None
            payload = self._read(int.from_bytes(head[:3], "big"))
            stream = int.from_bytes(head[5:9], "big")
            return None if payload is None else (head[3], head[4], stream, payload)
        except ConnectionError:
            return None

    def goaway(self):
        """The error code with which the server ends the connection; None if it just ends it."""
        while (got := self.next_frame()) is not None:
            if got[0] == GOAWAY:
                return int.from_bytes(got[3][4:8], "big")
        return None

    def answer(self, stream):
        """All header blocks and the body of one answer, or the code of its reset."""
        blocks, body = b"", bytearray()  # large answers come in many frames
        while (got := self.next_frame()) is not None:
            kind, flags, of, payload = got
            if kind == GOAWAY:
                raise AssertionError(f"GOAWAY {payload!r}")
            if of != stream:
                continue
            if kind == RST_STREAM:
                return None, int.from_bytes(payload, "big")
            if kind == HEADERS:
                blocks += payload
            if kind == DATA:
                body += payload
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                return blocks, body
        raise AssertionError("the connection ended before the answer")

    def outcome(self, stream):
        """The header block of an answer without a body, b"" of one with, None without an answer."""
        while (got := self.next_frame()) is not None:
            if got[0] == HEADERS and got[2] == stream:
                return got[3] if got[1] & END_STREAM else b""
        return None

    def close(self):
        self.socket.close()


class Normal(threading.Thread):
    """A client that writes and reads what it wrote, on one connection, until it is told to end."""

    def __init__(self, endpoint):
        super().__init__()
        self.endpoint = endpoint
        self.done = 0
        self.error = None
        self.ending = threading.Event()

    def run(self):
        try:
            connection = http.client.HTTPConnection(self.endpoint, timeout=60)
            while not self.ending.is_set():
                value = b64(str(self.done))
                self.post(connection, "put", {"key": b64("normal"), "value": value})
                got = self.post(connection, "range", {"key": b64("normal")})
                if got["kvs"][0]["value"] != value:
                    raise AssertionError(f"read {got}, wrote {value}")
                self.done += 1
            connection.close()
        except Exception as e:  # pylint: disable=broad-except
            self.error = e

    @staticmethod
    def post(connection, what, message):
        while True:
            connection.request("POST", "/v3/kv/" + what, json.dumps(message))
            reply = connection.getresponse()
            body = reply.read()
            if reply.status == 200:
                return json.loads(body)
            # As any client would; a machine that is busy with other tests may be that slow.
            if b"request timed out" not in body:
                raise AssertionError(f"{reply.status} {body!r}")


class Hostile(unittest.TestCase):
    """One attack each, on one server."""

    @classmethod
    def setUpClass(cls):
        ports = local.free_ports(2)
        cls.cluster = local.Cluster(BINARY, [tuple(ports)], os.path.join(WORK, "one"))
        cls.cluster.start()
        cls.cluster.wait_healthy()
        cls.member = cls.cluster.members[0]
        cls.endpoint = cls.member.endpoint

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def setUp(self):
        self.open = []
        self.normal = Normal(self.endpoint)
        self.normal.start()
        self.before = self.member.resident_kib()

    def tearDown(self):
        self.normal.ending.set()
        self.normal.join()
        for connection in self.open:
            connection.close()
        self.assertIsNone(self.normal.error)
        self.assertTrue(self.member.running())
        local.wait_until(self.member.healthy, 30, "the server is well afterwards")

    def connect(self, **options):
        connection = Http2(self.endpoint, **options)
        self.open.append(connection)
        return connection

    def attack(self, once, at_least=20):
        """Calls once() until the normal client has done so much more, and once at least."""
        goal = self.normal.done + at_least
        while self.normal.done < goal and self.normal.error is None:
            once()

    def assert_grew_by_less(self, mib):
        grown = (self.member.resident_kib() - self.before) / 1024
        print(f"resident: {grown:+.1f} MiB", file=sys.stderr)
        self.assertLess(grown, mib)

    def wait_until_it_shrinks(self):
        """What was held for answers goes back to the system when their readers have gone."""
        local.wait_until(lambda: self.member.resident_kib() - self.before < 64 << 10, 60,
                         "the memory of answers that nobody wants is given back")

    def http(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.endpoint, timeout=60)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        answer = reply.status, reply.read().decode(errors="replace")
        connection.close()
        return answer

    def test_malformed_frames(self):
        cases = {
            frame(SETTINGS, 0, 0, b"\0" * 5): FRAME_SIZE_ERROR,
            frame(PING, 0, 0, b"short"): FRAME_SIZE_ERROR,
            frame(DATA, 0, 0, b"x"): PROTOCOL_ERROR,
            frame(HEADERS, END_HEADERS, 2, request_headers()): PROTOCOL_ERROR,
            frame(CONTINUATION, END_HEADERS, 1, b""): PROTOCOL_ERROR,
            frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"): PROTOCOL_ERROR,
            frame(HEADERS, END_HEADERS, 1, b"\xff" * 20): 9,  # COMPRESSION_ERROR
        }

        def once():
            for bad, code in cases.items():
                connection = Http2(self.endpoint)
                connection.send(bad)
                self.assertEqual(connection.goaway(), code, bad)
                connection.close()
            garbage = Http2(self.endpoint)
            garbage.send_unless_closed(os.urandom(100_000))
            garbage.goaway()
            garbage.close()
        self.attack(once)
        self.assert_grew_by_less(32)

    def test_huge_frames(self):
        def once():
            connection = Http2(self.endpoint)
            # 16 MiB - 1 in one frame, where 16 KiB are allowed.
            connection.send_unless_closed(struct.pack(">I", (1 << 24) - 1)[1:] +
                                          struct.pack(">BBI", DATA, 0, 1) + b"x" * 65536)
            self.assertEqual(connection.goaway(), FRAME_SIZE_ERROR)
            connection.close()
        self.attack(once)
        self.assert_grew_by_less(32)

    def test_a_message_that_says_it_is_huge(self):
        def once():
            connection = Http2(self.endpoint)
            connection.send(frame(HEADERS, END_HEADERS, 1, request_headers()) +
                            frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 1000))
            blocks, _ = connection.answer(1)
            self.assertIn(b"\x018", blocks)  # grpc-status 8, ResourceExhausted
            connection.close()
        self.attack(once)
        self.assert_grew_by_less(32)

    def test_header_bombs(self):
        def endless():
            connection = Http2(self.endpoint)
            connection.send(frame(HEADERS, 0, 1, request_headers()))
            sent = 0
            filler = b"".join(literal(b"x-%03d" % i, b"y" * 100) for i in range(100))
            while sent < 64 << 20 and connection.send_unless_closed(
                    frame(CONTINUATION, 0, 1, filler)):
                sent += len(filler)
            self.assertLess(sent, 64 << 20, "it would have listened for ever")
            connection.close()

        def hpack():
            connection = Http2(self.endpoint)
            # One field of 4000 bytes goes into the table; each further byte stands for it.
            size = 3900 - 127
            field = b"\x40\x01x" + b"\x7f" + bytes([size & 0x7f | 0x80, size >> 7]) + b"y" * 3900
            connection.send_unless_closed(
                frame(HEADERS, 0, 1, request_headers() + field) +
                b"".join(frame(CONTINUATION, 0, 1, b"\xbe" * 16000) for _ in range(4)))
            self.assertIn(connection.goaway(), (None, ENHANCE_YOUR_CALM, PROTOCOL_ERROR))
            connection.close()

        def once():
            endless()
            hpack()
        self.attack(once)
        self.assert_grew_by_less(64)
        status, _ = self.http("GET", "/version", headers={"X-Large": "y" * 100_000})
        self.assertEqual(status, 431)

    def test_stream_floods(self):
        flood = self.connect()
        block = request_headers()
        for first in range(0, MAX_STREAMS + 2000, 1000):
            flood.send(b"".join(frame(HEADERS, END_HEADERS, 2 * i + 1, block)
                                for i in range(first, first + 1000)))
        while (got := flood.next_frame()) is not None and got[0] != RST_STREAM:
            pass
        self.assertIsNotNone(got)
        self.assertEqual(int.from_bytes(got[3], "big"), 7)  # REFUSED_STREAM
        self.assertGreater(got[2], 2 * MAX_STREAMS)
        self.attack(lambda: None)
        self.assert_grew_by_less(400)

    def test_rapid_resets(self):
        block = request_headers()
        cancel = struct.pack(">I", 8)

        def once():
            connection = Http2(self.endpoint)
            for first in range(0, 20_000, 500):
                if not connection.send_unless_closed(b"".join(
                        frame(HEADERS, END_HEADERS, 2 * i + 1, block) +
                        frame(RST_STREAM, 0, 2 * i + 1, cancel)
                        for i in range(first, first + 500))):
                    break
            self.assertEqual(connection.goaway(), ENHANCE_YOUR_CALM)
            connection.close()
        self.attack(once)
        self.assert_grew_by_less(64)

    def test_readers_that_do_not_read(self):
        """60 clients ask for 24 MiB each, and read nothing: 1.4 GiB, if it all were kept."""
        filler = b64("x" * (1 << 20))
        for i in range(24):
            status, _ = self.http("POST", "/v3/kv/put",
                                  json.dumps({"key": b64(f"big/{i:02}"), "value": filler}))
            self.assertEqual(status, 200)
        self.before = self.member.resident_kib()
        want = grpc_message(b"\x0a\x04big/" + b"\x12\x04big0")
        asked = []
        for _ in range(60):
            connection = self.connect(window=4096)
            connection.send(frame(HEADERS, END_HEADERS, 1, request_headers()) +
                            frame(DATA, END_STREAM, 1, want))
            asked.append(connection)
        self.attack(lambda: None, at_least=50)
        # An answer is made as it is read.
        self.assert_grew_by_less(200)
        # Whoever is refused is so with the right code, or closed since he reads nothing.
        outcomes = [connection.outcome(1) for connection in asked]
        for blocks in outcomes:
            if blocks:
                # grpc-status 8, ResourceExhausted; or 14 where the machine is so slow that a long read
                # has waited for its turn for longer than a request may.
                self.assertTrue(b"\x018" in blocks or b"\x0214" in blocks, blocks)
        for connection in asked:
            connection.close()
        self.wait_until_it_shrinks()
        # There is room again for whoever reads.
        reader = self.connect()
        reader.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))

        def served():
            stream = served.next_stream
            served.next_stream += 2
            reader.send(frame(HEADERS, END_HEADERS, stream, request_headers()) +
                        frame(DATA, END_STREAM, stream, want) +
                        frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 1 << 30)))
            return len(reader.answer(stream)[1]) > 24 << 20
        served.next_stream = 1
        local.wait_until(served, 60, "a client that reads is served")
        self.assertEqual(self.http("POST", "/v3/kv/deleterange", json.dumps(
            {"key": b64("big/"), "range_end": b64("big0")}))[0], 200)

    def test_readers_of_json_that_do_not_read(self):
        """80 clients ask the gateway for 16 MiB each as JSON, by HTTP/1.1, and read nothing: 1.7 GiB
        of JSON, if it all were kept, and more than the bound of all answers before that."""
        filler = b64("x" * (1 << 20))
        for i in range(16):
            status, _ = self.http("POST", "/v3/kv/put",
                                  json.dumps({"key": b64(f"big/{i:02}"), "value": filler}))
            self.assertEqual(status, 200)
        self.before = self.member.resident_kib()
        want = json.dumps({"key": b64("big/"), "range_end": b64("big0")}).encode()
        request = (b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                   % len(want)) + want
        readers = []
        for _ in range(80):
            reader = socket.create_connection(tuple(self.endpoint.split(":")), timeout=60)
            self.open.append(reader)
            readers.append(reader)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(request * 3)  # pipelined: the second waits for the first
        self.attack(lambda: None, at_least=50)
        # An answer is made as it is read.
        self.assert_grew_by_less(450)
        # Whoever is refused is so with the right code, or closed since he reads nothing.
        statuses = [first_status(reader) for reader in readers]
        # 503 where the machine is so slow that a read has waited longer than a request may.
        self.assertLessEqual(set(statuses), {200, 429, 503, None})
        for reader in readers:
            reader.close()
        self.wait_until_it_shrinks()
        status, text = self.http("POST", "/v3/kv/range", want)
        self.assertEqual((status, len(json.loads(text)["kvs"])), (200, 16))
        self.assertEqual(self.http("POST", "/v3/kv/deleterange", want)[0], 200)

    def test_web_sockets_that_flood(self):
        """Pings that nobody reads the answers of, frames that never end, frames of no client."""
        upgrade = (b"GET /v3/watch HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")

        def answers_to_pings(frames):
            """Bytes of pongs that come, all in all, if none is read while 32 MiB of pings are sent."""
            got = 0
            with socket.create_connection(tuple(self.endpoint.split(":")), timeout=60) as s:
                s.sendall(upgrade)
                try:
                    for _ in range((32 << 20) // len(frames) + 1):
                        s.sendall(frames)
                    s.sendall(b"\x88\x80" + bytes(4))
                    while piece := s.recv(1 << 16):
                        got += len(piece)
                except OSError:
                    pass  # the server has had enough
            return got
        ping = b"\x89\xfd" + bytes(4) + b"p" * 125
        unmasked = b"\x81\x02hi"
        endless = b"\x01\xff" + struct.pack(">Q", 1 << 40) + bytes(4) + b"{" * (8 << 20)

        def answer_to(frames):
            with socket.create_connection(tuple(self.endpoint.split(":")), timeout=60) as s:
                s.sendall(upgrade + frames)
                reply = b""
                while piece := s.recv(4096):
                    reply += piece
                return reply

        def once():
            self.assertLess(answers_to_pings(ping * 8000), 16 << 20, "it keeps all the answers")
            self.assertIn(b"is too large", answer_to(endless))
            self.assertTrue(answer_to(unmasked * 1000).endswith(b"\x88\x02\x03\xea"))  # 1002
        self.attack(once)
        self.assert_grew_by_less(96)

    def test_writers_that_do_not_finish(self):
        block = request_headers(b"/etcdserverpb.KV/Put")
        for _ in range(200):
            slow = self.connect()
            slow.send(frame(HEADERS, END_HEADERS, 1, block) +
                      frame(DATA, 0, 1, b"\0\0\x10\0\0" + b"x" * 16000))
            half = socket.create_connection(tuple(self.endpoint.split(":")), timeout=60)
            half.sendall(b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{")
            self.open.append(half)
        self.attack(lambda: None)
        self.assert_grew_by_less(128)

    def test_what_is_no_message(self):
        def once():
            connection = Http2(self.endpoint)
            connection.send(frame(HEADERS, END_HEADERS, 1, request_headers()) +
                            frame(DATA, END_STREAM, 1, grpc_message(b"\xff" * 50)))
            blocks, _ = connection.answer(1)
            self.assertIn(b"\x0213", blocks)  # grpc-status 13, Internal
            connection.send(frame(HEADERS, END_HEADERS, 3,
                                  request_headers(content_type=b"text/html")) +
                            frame(DATA, END_STREAM, 3, grpc_message(b"")))
            blocks, _ = connection.answer(3)
            self.assertIn(b"\x03415", blocks)  # :status 415
            connection.close()
            for body in ("{", "[]", '{"key":17}', "nonsense", "{\"key\":\"" + "(" * 1000 + "\"}",
                         "{\"a\":" * 100_000):
                status, text = self.http("POST", "/v3/kv/range", body)
                self.assertEqual(status, 400, body[:20])
                self.assertEqual(json.loads(text)["code"], 3)
            status, text = self.http("POST", "/v3/kv/put", "x" * (16 << 20))
            self.assertEqual(status, 429)
            self.assertEqual(json.loads(text)["code"], 8)
        self.attack(once)
        self.assert_grew_by_less(64)


if __name__ == "__main__":
    try:
        junit.main(sys.modules[__name__])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
