"""The peer of test/http/harness.c: a TLS server whose path says what it does.

A request for /BEHAVIOUR/ID is counted under ID once it has been read whole.
Listens on loopback only.  Writes its ports to the file named on the command
line, and ends when its standard input does.
"""

import os
import socket
import ssl
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "simulator"))
import certificates  # noqa: E402  (found by the line above)

SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Message-Id: abc\r\n\r\nok"
counts = {}
counts_lock = threading.Lock()


def count(key):
    with counts_lock:
        counts[key] = counts.get(key, 0) + 1


class Connection:
    """One accepted connection: reads requests, plays what their paths say."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def read_request(self):
        """(path, head, body), or None when the peer is gone."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(self.buffer) < length:
            if not self._more():
                return None
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return head.split(b" ")[1].decode(), head, body

    def _more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        """Closes so that the peer gets a reset."""
        plain = self.sock.detach() if isinstance(self.sock, ssl.SSLSocket) else self.sock.detach()
        raw = socket.socket(fileno=plain)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()

    def serve(self):
        while True:
            request = self.read_request()
            if request is None:
                return
            path, head, body = request
            _, behaviour, key = path.split("/", 2)
            count(key)
            count("all")
            if not BEHAVIOURS[behaviour](self, head, body):
                return


# Each takes (connection, head, body) and says whether the connection goes on.

def play_ok(conn, _head, _body):
    conn.send(SMALL)
    return True


def say_goodbye(conn):
    """The end of TLS, without which newer versions of libcurl take the end for an error."""
    if isinstance(conn.sock, ssl.SSLSocket):
        conn.sock.settimeout(0.1)
        try:
            conn.sock.unwrap()
        except OSError:
            pass


def play_leave(conn, _head, _body):
    """Answers, and says goodbye a little later, without having announced it."""
    conn.send(SMALL)
    time.sleep(0.05)
    say_goodbye(conn)
    return False


def play_slow(conn, _head, _body):
    time.sleep(1.0)
    conn.send(SMALL)
    return True


def play_late(conn, _head, _body):
    time.sleep(6.3)
    conn.send(SMALL)
    return True


def play_drop(_conn, _head, _body):
    return False


def play_reset(conn, _head, _body):
    conn.reset()
    return False


def play_reset_after(conn, _head, _body):
    conn.send(b"HTTP/1.1 202 Accepted\r\nX-Message-Id: early\r\n")
    time.sleep(0.2)
    conn.reset()
    return False


def play_cut(conn, _head, _body):
    conn.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n0123456789")
    return False


def play_hang(conn, _head, _body):
    conn.sock.recv(1)
    return False


def drip(conn, data):
    try:
        for i in range(len(data)):
            conn.send(data[i:i + 1])
            time.sleep(0.2)
    except OSError:
        pass
    return False


def play_drip_head(conn, _head, _body):
    return drip(conn, b"HTTP/1.1 200 OK" + b" " * 100)


def play_drip_body(conn, _head, _body):
    conn.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\n")
    return drip(conn, b"x" * 100)


def play_silent(conn, _head, _body):
    conn.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\nsome")
    conn.sock.recv(1)
    return False


def play_redirect(conn, head, _body):
    key = head.split(b" ")[1].split(b"/")[2]
    conn.send(b"HTTP/1.1 307 Temporary\r\nLocation: /ok/followed-" + key +
              b"\r\nContent-Length: 0\r\n\r\n")
    return True


def play_huge(conn, _head, _body):
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    return flood(conn, b"x" * 65536, 1600)


def play_endless(conn, _head, _body):
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    return flood(conn, b"1000\r\n" + b"y" * 4096 + b"\r\n", 1 << 30)


def flood(conn, data, times):
    try:
        for _ in range(times):
            conn.send(data)
    except OSError:
        pass
    return False


def play_many_headers(conn, _head, _body):
    conn.send(b"HTTP/1.1 200 OK\r\n")
    return flood(conn, b"X-Filler: 0123456789\r\n", 10000)


def play_long_header(conn, _head, _body):
    conn.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    return flood(conn, b"z" * 65536, 16)


def play_long_status(conn, _head, _body):
    conn.send(b"HTTP/1.1 ")
    return flood(conn, b"2" * 65536, 16)


def play_interim(conn, _head, _body):
    conn.send(b"HTTP/1.1 100 Continue\r\nX-Interim: a\r\n\r\n")
    conn.send(b"HTTP/1.1 103 Early Hints\r\nX-Interim: b\r\n\r\n")
    conn.send(SMALL)
    return True


def play_interim_only(conn, _head, _body):
    conn.send(b"HTTP/1.1 103 Early Hints\r\nX-Interim: b\r\n\r\n")
    say_goodbye(conn)
    return False


def play_garbage(conn, _head, _body):
    conn.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    return False


def play_trailer(conn, _head, _body):
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Message-Id: head\r\n"
              b"\r\n2\r\nok\r\n0\r\nX-Message-Id: trailer\r\n\r\n")
    return True


def play_gzip(conn, _head, _body):
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
    return True


def play_old(conn, _head, _body):
    conn.send(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    say_goodbye(conn)
    return False


def play_echo(conn, head, body):
    data = head + b"\r\n\r\n" + body
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    return True


BEHAVIOURS = {name[5:]: function for name, function in list(globals().items())
              if name.startswith("play_")}


def serve_http(sock):
    Connection(sock).serve()


def serve_tarpit(sock):
    sock.recv(1)
    time.sleep(10)


def serve_counts(sock):
    """The number of requests of a key, a line each."""
    with sock.makefile("rw") as file:
        for line in file:
            with counts_lock:
                file.write(f"{counts.get(line.strip(), 0)}\n")
            file.flush()


def serve_proxy(sock):
    """CONNECT only."""
    conn = Connection(sock)
    request = conn.read_request()
    if request is None:
        return
    count("proxied")
    host, _, port = request[0].rpartition(":")
    if port == "1":
        conn.send(b"HTTP/1.1 403 Forbidden\r\nX-Proxy: no\r\nContent-Length: 0\r\n\r\n")
        return
    with socket.create_connection((host, int(port))) as upstream:
        conn.send(b"HTTP/1.1 200 Established\r\nX-Proxy: yes\r\n\r\n")
        other = threading.Thread(target=pump, args=(upstream, sock), daemon=True)
        other.start()
        pump(sock, upstream)
        other.join()


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def handle(sock, context, serve):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True)
        serve(sock)
    except OSError:
        pass
    finally:
        sock.close()


def listen(context, serve):
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def accept():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=handle, args=(sock, context, serve), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def main():
    ports_file, directory = sys.argv[1:3]
    certificates.ensure(directory)
    ports = [(kind, listen(certificates.server_context(directory, kind), serve_http))
             for kind in certificates.KINDS]
    ports.append(("plain", listen(None, serve_http)))
    ports.append(("tarpit", listen(None, serve_tarpit)))
    ports.append(("proxy", listen(None, serve_proxy)))
    ports.append(("counts", listen(None, serve_counts)))
    with open(ports_file + ".new", "w", encoding="ascii") as file:
        for name, port in ports:
            file.write(f"{name} {port}\n")
    os.rename(ports_file + ".new", ports_file)
    sys.stdin.read()


main()
