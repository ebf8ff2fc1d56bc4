"""One TCP connection, with or without TLS, as an awaitable byte stream.

TLS runs over memory buffers and not through asyncio's transport, because the
faults need what that hides: stopping in the middle of a handshake, resetting
the socket at a chosen byte, seeing the peer leave while nothing is read.
"""

import asyncio
import socket
import ssl
import struct

READ_AHEAD = 1 << 20            # stop reading the socket above this many bytes
HEAD_LIMIT = 256 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
TCP_ESTABLISHED = 1


class ConnectionGone(Exception):
    """The peer closed, reset or broke the connection."""


class ProtocolError(Exception):
    """What arrived is not acceptable HTTP; the text says why."""


class Stream(asyncio.Protocol):
    """A connection; `on_open(stream)` is the coroutine function that serves it."""

    def __init__(self, on_open):
        self.on_open = on_open
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray()
        self.transport = None
        self.tls = None
        self.established = False
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.waiter = None
        self.gone = self.loop.create_future()
        self.ended_by = "client"
        self.reading = True
        self.writable = None
        self.bytes_in = 0
        self.bytes_out = 0          # on the wire
        self.plain_out = 0          # before TLS
        self.task = None

    # asyncio calls these

    def connection_made(self, transport):
        self.transport = transport
        self.task = self.loop.create_task(self.on_open(self))

    def data_received(self, data):
        self.bytes_in += len(data)
        if self.tls is not None:
            self.incoming.write(data)
            if self.established:
                self._decrypt()
        else:
            self.buffer += data
        self._wake()
        if self.reading and len(self.buffer) > READ_AHEAD:
            self.reading = False
            self.transport.pause_reading()

    def eof_received(self):
        self._end()
        return None

    def connection_lost(self, error):
        self._end()
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)

    def pause_writing(self):
        self.writable = self.loop.create_future()

    def resume_writing(self):
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)
        self.writable = None

    # reading

    def _wake(self):
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def _end(self, why=None):
        if not self.gone.done():
            if why is not None:
                self.ended_by = why
            self.gone.set_result(None)
        self._wake()

    def _decrypt(self):
        try:
            while True:
                piece = self.tls.read(65536)
                if not piece:
                    self._end()
                    break
                self.buffer += piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._end()
        except ssl.SSLError as error:
            self._end("tls: " + _reason(error))
        if self.outgoing.pending:
            self._flush_tls()

    def _flush_tls(self):
        data = self.outgoing.read()
        if data and not self.transport.is_closing():
            self.bytes_out += len(data)
            self.transport.write(data)

    async def more(self):
        """Wait for more bytes; raises when none will come."""
        if self.gone.done():
            raise ConnectionGone
        if not self.reading and len(self.buffer) <= READ_AHEAD // 2:
            self.reading = True
            self.transport.resume_reading()
        self.waiter = self.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    async def peek(self):
        """Wait until at least one byte can be read."""
        while not self.buffer:
            await self.more()

    async def read_some(self, limit):
        """Between 1 and `limit` bytes."""
        await self.peek()
        piece = bytes(self.buffer[:limit])
        del self.buffer[:limit]
        return piece

    async def read_exactly(self, size):
        pieces = []
        while size:
            piece = await self.read_some(size)
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    async def read_until(self, mark, limit=HEAD_LIMIT):
        """Bytes up to and including the mark."""
        start = 0
        while True:
            found = self.buffer.find(mark, start)
            if found >= 0:
                return await self.read_exactly(found + len(mark))
            if len(self.buffer) > limit:
                raise ProtocolError("line or head too long")
            start = max(0, len(self.buffer) - len(mark))
            await self.more()

    # TLS

    async def start_tls(self, context):
        """The server's side of a handshake."""
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        if self.buffer:
            self.incoming.write(bytes(self.buffer))
            self.buffer.clear()
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush_tls()
            except ssl.SSLError as error:
                self._flush_tls()
                self._end("tls: " + _reason(error))
                raise ConnectionGone from error
            await self.more()
        self._flush_tls()
        self.established = True
        self._decrypt()

    async def truncate_tls(self, context):
        """Begin the server's half of a handshake, and close in its middle."""
        await self.peek()
        self.incoming.write(bytes(self.buffer))
        try:
            context.wrap_bio(self.incoming, self.outgoing, server_side=True).do_handshake()
        except ssl.SSLError:
            pass
        data = self.outgoing.read()
        self.write(data[:len(data) // 2])
        self.buffer.clear()
        self.close("truncated")

    def tls_version(self):
        return self.tls.version() if self.established else None

    # writing and ending

    def write(self, data):
        if self.transport.is_closing():
            raise ConnectionGone
        self.plain_out += len(data)
        if self.established:
            try:
                self.tls.write(data)
            except ssl.SSLError as error:
                self._end("tls: " + _reason(error))
                raise ConnectionGone from error
            self._flush_tls()
        else:
            self.bytes_out += len(data)
            self.transport.write(data)

    async def drain(self):
        """Wait until the peer has taken enough of what was written."""
        if self.writable is not None:
            await self.writable
        if self.gone.done():
            raise ConnectionGone

    async def pause(self, seconds):
        """Sleep, or raise as soon as the peer leaves."""
        await asyncio.wait((self.gone,), timeout=seconds)
        if self.gone.done():
            raise ConnectionGone

    async def wait_gone(self):
        """Keep the connection open, reading and forgetting, until the peer leaves."""
        while True:
            self.buffer.clear()
            await self.more()

    async def freeze(self):
        """Read nothing more; return only by ConnectionGone when the peer leaves.

        A socket that is not read never reports its end, so the kernel is asked.
        """
        self.reading = False
        self.transport.pause_reading()
        raw = self.transport.get_extra_info("socket")
        while not self.gone.done():
            await asyncio.wait((self.gone,), timeout=0.1)
            try:
                state = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            except OSError:
                break
            if state != TCP_ESTABLISHED:
                break
        raise ConnectionGone

    def close(self, why=None):
        """End in good order: close_notify, then FIN after what was written."""
        if self.established and not self.transport.is_closing():
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass
            self._flush_tls()
        self._end(why)
        self.transport.close()

    def reset(self, why="reset"):
        """End with a TCP reset; unsent bytes are dropped."""
        raw = self.transport.get_extra_info("socket")
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        except OSError:
            pass
        self._end(why)
        self.transport.abort()


def _reason(error):
    return error.reason or error.__class__.__name__
