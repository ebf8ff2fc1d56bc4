"""HTTP/1.1 on a stream: reading requests, writing answers."""

import email.utils
import re
import time

from stream import ConnectionGone, ProtocolError

FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r\n\Z")
REASONS = {
    200: "OK", 202: "Accepted", 204: "No Content", 301: "Moved Permanently", 302: "Found",
    303: "See Other", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 409: "Conflict", 413: "Request Entity Too Large",
    415: "Unsupported Media Type", 429: "Too Many Requests", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}


class BodyTooLarge(Exception):
    """The request body is longer than the provider takes."""


class Request:
    """A parsed request head, and later its body."""

    def __init__(self, raw_head):
        self.raw_head = raw_head
        self.body = b""
        lines = raw_head[:-4].split(b"\r\n")
        parts = lines[0].split(b" ")
        if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise ProtocolError("bad request line")
        self.method = parts[0].decode("latin-1")
        self.target = parts[1].decode("latin-1")
        self.path, _, self.query = self.target.partition("?")
        self.header_lines = len(lines) - 1
        self.headers = {}
        for line in lines[1:]:
            self._add_header(line)
        self.keep_alive = (parts[2] == b"HTTP/1.1" and
                           "close" not in self.headers.get("connection", "").lower())
        self._frame()

    def _add_header(self, line):
        name, colon, value = line.partition(b":")
        if not colon or not FIELD_NAME.match(name):
            raise ProtocolError("bad header line")
        if b"\0" in value or b"\r" in value or b"\n" in value:
            raise ProtocolError("control character in a header")
        key = name.decode("latin-1").lower()
        text = value.strip(b" \t").decode("latin-1")
        if key in self.headers:
            if key in ("content-length", "host", "authorization", "content-type"):
                raise ProtocolError(f"header {key} repeated")
            text = self.headers[key] + ", " + text
        self.headers[key] = text

    def _frame(self):
        coding = self.headers.get("transfer-encoding")
        length = self.headers.get("content-length")
        self.chunked = coding is not None
        if self.chunked and (coding.lower() != "chunked" or length is not None):
            raise ProtocolError("unclear body length")
        if length is not None and not (length.isascii() and length.isdigit()):
            raise ProtocolError("bad Content-Length")
        self.length = int(length) if length is not None else 0


async def read_head(stream):
    return Request(await stream.read_until(b"\r\n\r\n"))


async def read_body(stream, request, limit):
    """Read the whole body into the request; BodyTooLarge beyond the limit."""
    if request.length > limit:
        raise BodyTooLarge
    invite_body(stream, request)
    if not request.chunked:
        request.body = await stream.read_exactly(request.length)
        return
    pieces = []
    total = 0
    while True:
        match = CHUNK_SIZE.match(await stream.read_until(b"\r\n", 1024))
        if not match:
            raise ProtocolError("bad chunk size")
        size = int(match.group(1), 16)
        if size == 0:
            break
        total += size
        if total > limit:
            raise BodyTooLarge
        pieces.append(await stream.read_exactly(size))
        if await stream.read_exactly(2) != b"\r\n":
            raise ProtocolError("chunk longer than announced")
    while await stream.read_until(b"\r\n", 8192) != b"\r\n":
        pass                        # trailer fields mean nothing here
    request.body = b"".join(pieces)


async def read_half_body(stream, request):
    """Read about half of the body and leave the rest on the wire."""
    invite_body(stream, request)
    await stream.read_exactly(max(1, request.length // 2) if not request.chunked else 1)


def invite_body(stream, request):
    """Tell a client that waits for it to go on and send the body."""
    if request.headers.get("expect", "").lower() == "100-continue":
        stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class Answer:
    """Status, headers (a dict, order kept) and body of an answer."""

    def __init__(self, status, headers=None, body=b""):
        self.status = status
        self.headers = dict(headers or {})
        self.body = body

    def set_headers(self, headers):
        """Replace or add headers, whatever the case of their names."""
        spelling = {key.lower(): key for key in self.headers}
        for name, value in headers.items():
            self.headers.pop(spelling.pop(name.lower(), None), None)
            if value is not None:
                self.headers[name] = value
                spelling[name.lower()] = name

    def head(self, keep_alive=True, framing=None):
        """Status line and headers; `framing` replaces the Content-Length."""
        headers = {"Server": "nginx", "Date": http_date()}
        headers.update(self.headers)
        names = {name.lower() for name in self.headers}
        if framing is not None:
            headers.update(framing)
        elif "content-length" not in names and "transfer-encoding" not in names:
            headers["Content-Length"] = len(self.body)
        if "connection" not in names:
            headers["Connection"] = "keep-alive" if keep_alive else "close"
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}"]
        for name, value in headers.items():
            for one in value if isinstance(value, list) else (value,):
                lines.append(f"{name}: {one}")
        # A lone surrogate in a rule's header or body stands for one raw byte.
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


_date_cache = (0, "")


def http_date():
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, email.utils.formatdate(now, usegmt=True))
    return _date_cache[1]


async def linger(stream, seconds=2.0):
    """Swallow what still arrives, so that closing does not reset the answer away."""
    deadline = stream.loop.time() + seconds
    try:
        while stream.loop.time() < deadline:
            stream.buffer.clear()
            if not stream.reading:
                stream.reading = True
                stream.transport.resume_reading()
            await stream.pause(0.02)
    except ConnectionGone:
        pass
