"""The misbehaviours that concern the answer: its content and its way out."""

import asyncio
import base64
import json
import zlib

from http_connection import Answer
from stream import ConnectionGone

BLOCK = 1 << 16
BOMB_BLOCK = 1 << 20
FILLER = b" "                       # leaves JSON valid however much of it there is
BEFORE_RESET = 0.05                 # lets the peer read what precedes a reset
NOT_HTTP = b"\x16\x03\x01\x00\x02 220 this is not HTTP at all\r\n\r\n"
GARBAGE = {
    "nul": b'"\\u0000"',
    "surrogate": b'"\\ud800"',
    "ff": b'"\xff\xfe\xff"',
    "deep": b"[" * 100000,
    "bigexp": b"1e131072",
    "emoji": '"\U0001f4ec \u2713 gesendet"'.encode(),
    "nulbytes": b'"a\0b\0c"\0\0',
}


def shape_answer(action, verdict, provider):
    """The answer that goes out, and whether the mail counts as taken."""
    answer = verdict.answer
    status = action.get("status")
    default_accept = True
    if status is not None:
        default_accept = 200 <= status < 300
        if default_accept and answer.status < 300:
            answer.status = status
        else:
            answer = provider.error(status)
    if "redirect" in action:
        redirect = action["redirect"]
        default_accept = False
        answer = Answer(redirect.get("status", 302),
                        {"Location": redirect.get("location", "http://127.0.0.1:1/")})
    if "garbage" in action:
        put_garbage(action["garbage"], answer, provider)
    if "headers" in action:
        answer.set_headers(action["headers"])
    put_body(action, answer)
    accept = action.get("accept", default_accept)
    return answer, verdict.taken and accept is not False


def put_garbage(kind, answer, provider):
    if kind == "html":
        answer.set_headers({"Content-Type": "text/html"})
        answer.body = b"<html><body><h1>It works!</h1></body></html>"
        return
    answer.set_headers({"Content-Type": "application/json"})
    if kind in ("empty", "not_http"):
        answer.body = b""
    elif kind == "deep":
        answer.body = GARBAGE[kind]
    else:
        answer.body = provider.garble(GARBAGE[kind])


def put_body(action, answer):
    if "body_base64" in action:
        answer.body = base64.b64decode(action["body_base64"])
    elif "body" in action:
        body = action["body"]
        text = body if isinstance(body, str) else json.dumps(body)
        answer.body = text.encode("utf-8", "surrogateescape")


async def deliver(stream, answer, action, keep_alive):
    """Send the answer as the action wants it; returns whether the connection lives on."""
    if action.get("reset") == "after_read":
        stream.reset()
        raise ConnectionGone
    if "close" in action:
        stream.close("close")
        raise ConnectionGone
    if action.get("hang") == "before_status":
        await stream.wait_gone()
    if action.get("garbage") == "not_http":
        stream.write(NOT_HTTP)
        return False
    if action.get("reset") in ("after_status", "mid_answer") or \
            action.get("hang") == "after_status":
        await break_answer(stream, answer, action, keep_alive)
    if "huge" in action:
        return await send_huge(stream, answer, action["huge"], keep_alive)
    if "gzip_bomb" in action:
        await send_gzip_bomb(stream, answer, action["gzip_bomb"], keep_alive)
    elif "drip" in action:
        await send_dripping(stream, answer, action["drip"], keep_alive)
    else:
        stream.write(answer.head(keep_alive) + answer.body)
        await stream.drain()
    return keep_alive


async def break_answer(stream, answer, action, keep_alive):
    """Begin an answer and never finish it."""
    if action.get("reset") == "mid_answer":
        answer.body = answer.body or FILLER * 64
        stream.write(answer.head(keep_alive) + answer.body[:len(answer.body) // 2])
    elif action.get("reset") == "after_status":
        stream.write(answer.head(keep_alive).partition(b"\r\n")[0] + b"\r\n")
    else:
        stream.write(answer.head(keep_alive)[:-2])
        await stream.wait_gone()
    await stream.pause(BEFORE_RESET)
    stream.reset()
    raise ConnectionGone


async def send_dripping(stream, answer, drip, keep_alive):
    if drip["part"] == "headers":
        slow, rest = answer.head(keep_alive), answer.body
    else:
        answer.body = answer.body or FILLER * 64
        stream.write(answer.head(keep_alive))
        slow, rest = answer.body, b""
    speed = drip["bytes_per_s"]
    step = max(1, int(speed / 50))
    for start in range(0, len(slow), step):
        stream.write(slow[start:start + step])
        await stream.pause(step / speed)
    stream.write(rest)


async def send_huge(stream, answer, huge, keep_alive):
    """Too many headers, too long a header, too long a body, or one without end."""
    answer.set_headers({f"X-Filler-{number}": "value" for number in range(huge.get("headers", 0))})
    if "header_bytes" in huge:
        answer.set_headers({"X-Long": "x" * huge["header_bytes"]})
    endless = huge.get("endless", False)
    chunked = huge.get("chunked", False)
    lie = huge.get("content_length_lie", False)
    length = max(len(answer.body), huge.get("bytes", 0))
    if chunked:
        framing = {"Transfer-Encoding": "chunked"}
    elif endless:
        keep_alive, framing = False, {}
    elif lie:
        keep_alive, framing = False, {"Content-Length": length * 2 + 1000}
    else:
        framing = {"Content-Length": length}
    stream.write(answer.head(keep_alive, framing))
    sent = 0
    while endless or sent < length:
        size = BLOCK if endless else min(BLOCK, length - sent)
        block = (answer.body[sent:sent + size]).ljust(size, FILLER)
        stream.write(b"%x\r\n%b\r\n" % (size, block) if chunked else block)
        sent += size
        await stream.drain()
        await asyncio.sleep(0)      # others want to be served too
    if chunked:
        stream.write(b"0\r\n\r\n")
    return keep_alive


async def send_gzip_bomb(stream, answer, size, keep_alive):
    """A gzip body that inflates to `size` bytes, without inflating it here.

    One deflated block is sent again and again.  The checksum at the end is not
    computed: whoever gets that far has inflated the bomb already.
    """
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = deflate.compress(answer.body) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(FILLER * BOMB_BLOCK) + deflate.flush(zlib.Z_FULL_FLUSH)
    count = max(1, size // BOMB_BLOCK)
    last = zlib.compressobj(9, zlib.DEFLATED, -15).flush(zlib.Z_FINISH) + bytes(8)
    header = b"\x1f\x8b\x08\0\0\0\0\0\2\xff"
    length = len(header) + len(first) + count * len(block) + len(last)
    answer.set_headers({"Content-Encoding": "gzip", "Content-Length": length})
    stream.write(answer.head(keep_alive) + header + first)
    for _ in range(count):
        stream.write(block)
        await stream.drain()
    stream.write(last)
