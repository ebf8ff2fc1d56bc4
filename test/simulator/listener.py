"""Listening sockets that can be closed and opened again on the same port."""

import asyncio
import socket

from stream import Stream

BACKLOG = 1024


class Listener:
    """One port of 127.0.0.1; `serve(stream)` is run for every connection."""

    def __init__(self, name, serve):
        self.name = name
        self.serve = serve
        self.server = None
        self.streams = set()
        # Bound but never listening: keeps the port ours while we refuse.
        self.placeholder = self._bound_socket(0)
        self.port = self.placeholder.getsockname()[1]

    @staticmethod
    def _bound_socket(port):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.setblocking(False)
        return sock

    async def open(self):
        if self.server is None:
            loop = asyncio.get_running_loop()
            self.server = await loop.create_server(lambda: Stream(self._run),
                                                   sock=self._bound_socket(self.port),
                                                   backlog=BACKLOG)

    def refuse(self):
        """Connects are refused from now on; connections go on."""
        if self.server is not None:
            self.server.close()
            self.server = None

    def drop(self):
        """Close every connection; returns how many there were."""
        count = len(self.streams)
        for stream in list(self.streams):
            stream.close("drop")
        return count

    async def stop(self):
        self.refuse()
        self.placeholder.close()
        tasks = [stream.task for stream in self.streams]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, stream):
        self.streams.add(stream)
        try:
            await self.serve(stream)
        finally:
            self.streams.discard(stream)
            stream.close()


class DeafServer:
    """Listeners that never get as far as TLS: `tarpit` and `tls_truncated`."""

    def __init__(self, world, name, context=None):
        self.world = world
        self.name = name
        self.context = context

    async def serve(self, stream):
        counters = self.world.counters.providers[self.name]
        conn = self.world.next_connection()
        counters.connections += 1
        counters.open_connections += 1
        self.world.journal.write("connect", self.name, conn=conn)
        try:
            if self.context is not None:
                await stream.truncate_tls(self.context)
            else:
                await stream.freeze()
        finally:
            counters.open_connections -= 1
            self.world.journal.write("closed", self.name, conn=conn, why=stream.ended_by,
                                     bytes_in=stream.bytes_in)
