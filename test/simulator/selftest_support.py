"""What the selftest's files share: a running simulator, clients, sample mails."""

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
SG_AUTH = "Bearer SG.test-key"
MG_AUTH = "Basic " + base64.b64encode(b"api:mg-test-key").decode()
PATIENCE = 20.0


class Simulator:
    """A running simulator and its control port."""

    def __init__(self, directory, *options, parent=None):
        self.directory = directory
        path = os.path.join(directory, "simulator.json")
        if os.path.exists(path):        # of one that was killed
            os.unlink(path)
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(HERE, "simulator.py"), "--directory", directory,
             "--parent", str(parent or os.getpid()), "--lifetime", "120", *options],
            stderr=subprocess.PIPE)
        wait_for(lambda: os.path.exists(path) or self.process.poll() is not None, 15)
        with open(path, encoding="ascii") as file:
            self.info = json.load(file)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.process.stderr.close()

    def control(self, method, path, document=None, expect=200):
        host = urllib.parse.urlsplit(self.info["control"]).netloc
        connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, path, body)
            response = connection.getresponse()
            result = json.loads(response.read())
        finally:
            connection.close()
        if response.status != expect:
            raise AssertionError(f"{method} {path}: {response.status} {result}")
        return result

    def rule(self, action, expect=200, **rest):
        return self.control("POST", "/rules", {"action": action, **rest}, expect)

    def stats(self, provider="sendgrid"):
        return self.control("GET", "/stats")["providers"][provider]

    def journal(self, **match):
        lines = self.control("GET", "/journal")["lines"]
        return [line for line in lines
                if all(line.get(key) == value for key, value in match.items())]

    def phases(self, rf_job):
        return [line["phase"] for line in self.journal(rf_job=rf_job)]

    def port(self, provider):
        return urllib.parse.urlsplit(self.info[provider]).port

    def context(self):
        return ssl.create_default_context(cafile=self.info["ca"])

    def http(self, provider="sendgrid"):
        return http.client.HTTPSConnection("localhost", self.port(provider), timeout=PATIENCE,
                                           context=self.context())

    def raw(self, provider="sendgrid"):
        return RawClient(self.port(provider), self.context())


class RawClient:
    """TLS over a socket we own: the ssl module's own sockets hide a reset as an end."""

    def __init__(self, port, context):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        try:
            self._until(self.tls.do_handshake)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _until(self, step):
        while True:
            try:
                result = step()
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(1 << 18)
                if not data:
                    return b""
                self.incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""

    def _flush(self):
        if self.outgoing.pending:
            self.sock.sendall(self.outgoing.read())

    def sendall(self, data):
        self.tls.write(data)
        self._flush()

    def recv(self, size):
        return self._until(lambda: self.tls.read(size))

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)


def wait_for(condition, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.01)


def sg_mail(job="j.1", **changes):
    mail = {
        "personalizations": [{"to": [{"email": "ann@example.org"}]}],
        "from": {"email": "shop@example.com", "name": "Shop"},
        "subject": "Hello",
        "content": [{"type": "text/plain", "value": "text"}, {"type": "text/html", "value": "<p>"}],
        "custom_args": {"rf_job": job, "n": "7"},
    }
    mail.update(changes)
    return {key: value for key, value in mail.items() if value is not None}


def sg_request(job="j.1", body=None):
    """A whole SendGrid request as bytes."""
    body = json.dumps(sg_mail(job)).encode() if body is None else body
    return (f"POST /v3/mail/send HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
            f"Authorization: {SG_AUTH}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def send_sg(connection, mail, auth=SG_AUTH, path="/v3/mail/send", method="POST", **headers):
    body = mail if isinstance(mail, (bytes, str)) else json.dumps(mail)
    fields = {"Authorization": auth, "Content-Type": "application/json", "Accept": "*/*"}
    fields.update(headers)
    connection.request(method, path, body, {k: v for k, v in fields.items() if v is not None})
    return finish(connection)


def finish(connection):
    response = connection.getresponse()
    response.body = response.read()
    return response


def mg_fields(job="m.1", **changes):
    fields = {"from": "Shop <shop@mg.example.com>", "to": "ann@example.org", "subject": "Hello",
              "text": "text", "v:rf_job": job, "v:key": "k1"}
    fields.update(changes)
    return {key: value for key, value in fields.items() if value is not None}


def multipart(fields, files=()):
    out = []
    for name, value in fields.items():
        out.append(f'--XX\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n')
    for name in files:
        extra = f'; filename="{name}"' if name else ""
        out.append(f'--XX\r\nContent-Disposition: form-data; name="attachment"{extra}\r\n'
                   "Content-Type: application/pdf\r\n\r\n%PDF\r\n")
    return "".join(out) + "--XX--\r\n"


def send_mg(connection, fields, auth=MG_AUTH, path="/v3/mg.example.com/messages", files=(),
            urlencoded=False):
    if urlencoded:
        body, kind = urllib.parse.urlencode(fields), "application/x-www-form-urlencoded"
    else:
        body, kind = multipart(fields, files), "multipart/form-data; boundary=XX"
    connection.request("POST", path, body.encode(), {"Authorization": auth, "Content-Type": kind})
    return finish(connection)


class Case(unittest.TestCase):
    """Shares one simulator, without rules at the start of each test."""

    shared = None

    @classmethod
    def setUpClass(cls):
        cls.sim = Case.shared

    def setUp(self):
        self.sim.control("DELETE", "/rules")

    def accepted(self, rf_job):
        return self.sim.phases(rf_job).count("accepted")

    def send(self, job, **changes):
        """One SendGrid mail on its own connection."""
        connection = self.sim.http()
        try:
            return send_sg(connection, sg_mail(job, **changes))
        finally:
            connection.close()

    def send_raw(self, job, provider="sendgrid"):
        """What came back until the end, and the error that ended it (or None)."""
        data = b""
        with self.sim.raw(provider) as tls:
            try:
                tls.sendall(sg_request(job))
                while piece := tls.recv(65536):
                    data += piece
            except OSError as error:
                return data, error
        return data, None
