#!/usr/bin/env python3
"""Proves each behaviour of the simulator that the delivery tests rely on.

Run it as `python3 test/simulator/selftest.py`; it needs no other program
than openssl and takes a few seconds.
"""

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
SG_AUTH = "Bearer SG.test-key"
MG_AUTH = "Basic " + base64.b64encode(b"api:mg-test-key").decode()
PATIENCE = 5.0


class Simulator:
    """A running simulator and its control port."""

    def __init__(self, directory, *options, parent=None):
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(HERE, "simulator.py"), "--directory", directory,
             "--parent", str(parent or os.getpid()), "--lifetime", "120", *options],
            stderr=subprocess.PIPE)
        path = os.path.join(directory, "simulator.json")
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

    @classmethod
    def setUpClass(cls):
        cls.sim = SHARED

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


class SendGridTest(Case):
    def test_success(self):
        response = self.send("sg.ok")
        self.assertEqual((response.status, response.body), (202, b""))
        self.assertRegex(response.headers["X-Message-Id"], r"\A[\w-]{22}\Z")
        self.assertEqual(response.headers["X-RateLimit-Limit"], "10000")
        self.assertEqual(self.sim.phases("sg.ok"), ["body", "accepted", "answered"])
        line = self.sim.journal(rf_job="sg.ok", phase="accepted")[0]
        self.assertEqual(line["custom_args"], {"rf_job": "sg.ok", "n": "7"})
        self.assertEqual(line["to"], ["ann@example.org"])
        head = self.sim.journal(request=line["request"], phase="headers")[0]
        self.assertEqual((head["conn"], head["path"]), (line["conn"], "/v3/mail/send"))

    def test_keep_alive_and_personalization_level_job(self):
        connection = self.sim.http()
        person = {"to": [{"email": "x@example.org"}], "custom_args": {"rf_job": "sg.inner"}}
        self.assertEqual(send_sg(connection, sg_mail("sg.k1")).status, 202)
        self.assertEqual(send_sg(connection, sg_mail("sg.outer", personalizations=[person])).status,
                         202)
        connection.close()
        first = self.sim.journal(rf_job="sg.k1", phase="accepted")[0]
        second = self.sim.journal(rf_job="sg.inner", phase="accepted")[0]
        self.assertEqual(first["conn"], second["conn"])
        self.assertEqual(second["custom_args"], {"rf_job": "sg.inner", "n": "7"})

    def test_chunked_body_and_expect(self):
        connection = self.sim.http()
        body = json.dumps(sg_mail("sg.chunk")).encode()
        connection.request("POST", "/v3/mail/send", iter([body[:10], body[10:]]),
                           {"Authorization": SG_AUTH, "Content-Type": "application/json",
                            "Accept": "*/*"}, encode_chunked=True)
        self.assertEqual(finish(connection).status, 202)
        connection.close()
        with self.sim.raw() as tls:
            request = sg_request("sg.expect")
            end = request.index(b"\r\n\r\n")
            tls.sendall(request[:end] + b"\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(tls.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            tls.sendall(request[end + 4:])
            self.assertTrue(tls.recv(1000).startswith(b"HTTP/1.1 202 "))

    def test_request_errors(self):
        connection = self.sim.http()
        cases = [
            (401, {"auth": "Bearer SG.wrong"}), (401, {"auth": None}), (404, {"path": "/v3/other"}),
            (405, {"method": "PUT"}), (415, {"Content-Type": "text/plain"}),
        ]
        for status, change in cases:
            response = send_sg(connection, sg_mail("sg.bad"), **change)
            self.assertEqual(response.status, status, change)
            self.assertIn("message", json.loads(response.body)["errors"][0])
        self.assertEqual(send_sg(connection, "{nonsense").status, 400)
        self.assertEqual(send_sg(connection, "[]").status, 400)
        connection.close()
        with self.sim.raw() as tls:
            tls.sendall(sg_request("sg.bad").replace(b"Accept: */*\r\n", b""))
            self.assertTrue(tls.recv(1000).startswith(b"HTTP/1.1 406 "))
        self.assertEqual(self.accepted("sg.bad"), 0)

    def test_mail_rules(self):
        to = [{"email": "ann@example.org"}]
        text = {"type": "text/plain", "value": "text"}
        html = {"type": "text/html", "value": "<p>"}
        twice = [{"to": to, "cc": [{"email": "Ann@example.org"}]}]
        cases = [
            ("personalizations", {"personalizations": []}),
            ("personalizations.0.to", {"personalizations": [{"to": []}]}),
            ("personalizations.0.to.0.email", {"personalizations": [{"to": [{"email": "x"}]}]}),
            ("personalizations.0.to.0.name",
             {"personalizations": [{"to": [{"email": "a@b.org", "name": "B, A"}]}]}),
            ("personalizations.0", {"personalizations": twice}),
            ("from.email", {"from": None}),
            ("from.email", {"from": {"email": "j\u00f6rg@example.org"}}),
            ("subject", {"subject": None}),
            ("subject", {"subject": ""}),
            ("content", {"content": None}),
            ("content", {"content": [html, text]}),
            ("content.0.value", {"content": [{"type": "text/plain", "value": ""}]}),
            ("categories", {"categories": [str(n) for n in range(11)]}),
            ("personalizations.0.custom_args", {"custom_args": {"rf_job": "sg.rule", "n": 1}}),
            ("personalizations.0.custom_args", {"custom_args": {"x": "y" * 9999}}),
            ("headers.Reply-To", {"headers": {"Reply-To": "x@example.org"}}),
            ("headers.X-A", {"headers": {"X-A": "a\r\nBcc: b@example.org"}}),
            ("send_at", {"send_at": int(time.time()) + 73 * 3600}),
        ]
        connection = self.sim.http()
        for field, change in cases:
            response = send_sg(connection, sg_mail("sg.rule", **change))
            self.assertEqual(response.status, 400, change)
            self.assertEqual(json.loads(response.body)["errors"][0]["field"], field, change)
        self.assertEqual(send_sg(connection, sg_mail("sg.fine", custom_args={
            "rf_job": "sg.fine", "x": "y" * 9980})).status, 202)
        connection.close()
        self.assertEqual(self.accepted("sg.rule"), 0)

    def test_sandbox(self):
        before = self.sim.stats()
        response = self.send("sg.sand", mail_settings={"sandbox_mode": {"enable": True}})
        self.assertEqual(response.status, 200)
        self.assertEqual(self.sim.phases("sg.sand"), ["body", "sandbox", "answered"])
        after = self.sim.stats()
        self.assertEqual(after["accepted"], before["accepted"])
        self.assertEqual(after["sandbox"], before["sandbox"] + 1)

    def test_too_large(self):
        with self.sim.raw() as tls:
            tls.sendall(sg_request().split(b"Content-Length")[0] +
                        b"Content-Length: 30000001\r\n\r\n" + b"x" * 100000)
            data = tls.recv(65536)
        self.assertTrue(data.startswith(b"HTTP/1.1 413 "))
        self.assertIn(b"<center>nginx</center>", data)

    def test_large_mail(self):
        content = [{"type": "text/plain", "value": "x" * 8000000}]
        self.assertEqual(self.send("sg.large", content=content).status, 202)

    def test_nonsense_on_the_wire(self):
        for data in (b"HELO\r\n\r\n", b"GET / HTTP/1.1\r\nA B: c\r\n\r\n",
                     b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"):
            with self.sim.raw() as tls:
                tls.sendall(data)
                self.assertTrue(tls.recv(1000).startswith(b"HTTP/1.1 400 "), data)


class MailgunTest(Case):
    def setUp(self):
        super().setUp()
        self.connection = self.sim.http("mailgun")
        self.addCleanup(self.connection.close)

    def test_success(self):
        for job, urlencoded in (("mg.multi", False), ("mg.url", True)):
            response = send_mg(self.connection, mg_fields(job), urlencoded=urlencoded)
            self.assertEqual(response.status, 200)
            body = json.loads(response.body)
            self.assertRegex(body["id"], r"\A<[^<>@]+@mg\.example\.com>\Z")
            self.assertEqual(body["message"], "Queued. Thank you.")
            line = self.sim.journal(rf_job=job, phase="accepted")[0]
            self.assertEqual(line["custom_args"], {"rf_job": job, "key": "k1"})
            self.assertEqual((line["to"], line["sandbox"]), (["ann@example.org"], False))

    def test_errors(self):
        cases = [
            (400, {"from": None}, "from parameter is missing"),
            (400, {"to": None}, "to parameter is missing"),
            (400, {"to": "nobody"}, "valid address"),
            (400, {"text": None}, "text, html"),
            (400, {"v:big": "x" * 17000}, "16 KB"),
        ]
        for status, change, text in cases:
            response = send_mg(self.connection, mg_fields("mg.bad", **change))
            self.assertEqual(response.status, status)
            self.assertIn(text, json.loads(response.body)["message"])
        response = send_mg(self.connection, mg_fields("mg.bad"), auth="Basic eDp5")
        self.assertEqual((response.status, response.body), (401, b"Forbidden"))
        response = send_mg(self.connection, mg_fields("mg.bad"), path="/v3/nope.example/messages")
        self.assertEqual((response.status, json.loads(response.body)),
                         (404, {"message": "Domain not found: nope.example"}))
        self.assertEqual(self.accepted("mg.bad"), 0)

    def test_wrong_path(self):
        response = send_mg(self.connection, mg_fields("mg.path"), path="/v3/messages")
        self.assertEqual((response.status, response.body), (200, b"Mailgun Magnificent API"))
        self.connection.request("GET", "/")
        self.assertEqual(finish(self.connection).body, b"Mailgun Magnificent API")
        self.assertEqual(self.accepted("mg.path"), 0)

    def test_regions(self):
        eu = self.sim.http("mailgun_eu")
        self.addCleanup(eu.close)
        path = "/v3/eu.example.com/messages"
        self.assertEqual(send_mg(eu, mg_fields("mg.eu"), path=path).status, 200)
        self.assertEqual(send_mg(self.connection, mg_fields("mg.us"), path=path).status, 404)
        self.assertEqual(send_mg(eu, mg_fields("mg.us")).status, 404)
        self.assertEqual(self.sim.journal(rf_job="mg.eu", phase="accepted")[0]["provider"],
                         "mailgun_eu")

    def test_test_mode_attachments_and_recipients(self):
        fields = mg_fields("mg.test", **{"o:testmode": "yes", "cc": "B <b@x.org>, c@x.org"})
        self.assertEqual(send_mg(self.connection, fields, files=("a.pdf", None)).status, 200)
        line = self.sim.journal(rf_job="mg.test", phase="accepted")[0]
        self.assertTrue(line["sandbox"])
        self.assertEqual(line["to"], ["ann@example.org", "b@x.org", "c@x.org"])
        self.assertEqual(self.sim.journal(rf_job="mg.test", phase="body")[0]["attachments"], 1)


class TlsTest(Case):
    def refused(self, provider, context=None):
        context = context or self.sim.context()
        with self.assertRaises(OSError) as caught:
            with socket.create_connection(("127.0.0.1", self.sim.port(provider)), PATIENCE) as sock:
                context.wrap_socket(sock, server_hostname="localhost").close()
        return caught.exception

    def test_bad_certificates(self):
        for provider, text in (("tls_expired", "expired"), ("tls_wronghost", "mismatch"),
                               ("tls_selfsigned", "self-signed")):
            self.assertIn(text, str(self.refused(provider)))
        self.assertEqual(self.sim.journal(provider="tls_wronghost", phase="headers"), [])
        wait_for(lambda: self.sim.journal(provider="tls_expired", phase="closed"))
        line = self.sim.journal(provider="tls_expired", phase="closed")[0]
        self.assertRegex(line["why"], "tls: |client")

    def test_bad_certificate_still_speaks(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection("localhost", self.sim.port("tls_expired"),
                                                 context=context, timeout=PATIENCE)
        self.assertEqual(send_sg(connection, sg_mail("tls.careless")).status, 202)
        connection.close()

    def test_old_protocol(self):
        if "tls_old" not in self.sim.info:
            self.skipTest("the ssl library cannot")
        context = self.sim.context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.assertIsInstance(self.refused("tls_old", context), ssl.SSLError)

    def test_truncated_and_tarpit(self):
        self.assertIsInstance(self.refused("tls_truncated"), OSError)
        with socket.create_connection(("127.0.0.1", self.sim.port("tarpit")), PATIENCE) as sock:
            sock.settimeout(0.3)
            sock.sendall(b"\x16\x03\x01")
            with self.assertRaises(TimeoutError):
                sock.recv(1)
            self.assertEqual(self.sim.stats("tarpit")["open_connections"], 1)
        wait_for(lambda: self.sim.stats("tarpit")["open_connections"] == 0)

    def test_certificate_change(self):
        self.sim.control("POST", "/listener", {"provider": "sendgrid", "certificate": "expired"})
        try:
            self.assertIn("expired", str(self.refused("sendgrid")))
        finally:
            self.sim.control("POST", "/listener", {"provider": "sendgrid", "certificate": "server"})
        self.assertEqual(self.send("tls.again").status, 202)


class RuleTest(Case):
    def test_status(self):
        self.sim.rule({"status": 429, "headers": {"Retry-After": "2"}, "body": {"x": 1}},
                      name="slow", count=1)
        response = self.send("rl.429")
        self.assertEqual((response.status, response.headers["Retry-After"], response.body),
                         (429, "2", b'{"x": 1}'))
        self.assertEqual(self.send("rl.429").status, 202)
        self.assertEqual(self.sim.phases("rl.429"),
                         ["body", "refused", "answered", "body", "accepted", "answered"])
        self.assertEqual(self.sim.control("GET", "/rules")[0]["applied"], 1)
        self.assertEqual(self.sim.journal(rf_job="rl.429", phase="refused")[0]["rule"], "slow")

    def test_status_with_accept(self):
        self.sim.rule({"status": 500, "accept": True})
        response = self.send("rl.500")
        self.assertEqual(response.status, 500)
        self.assertIn("errors", json.loads(response.body))
        self.assertEqual(self.accepted("rl.500"), 1)

    def test_wrong_key_is_never_accepted(self):
        self.sim.rule({"status": 500, "accept": True})
        connection = self.sim.http()
        self.assertEqual(send_sg(connection, sg_mail("rl.key"), auth="Bearer x").status, 500)
        connection.close()
        self.assertEqual(self.accepted("rl.key"), 0)

    def test_selection(self):
        self.sim.rule({"status": 451}, match={"rf_job": r"^rl\.a"}, provider="sendgrid")
        self.sim.rule({"status": 452}, match={"to": "@special"}, skip=1, count=1)
        self.sim.rule({"status": 453}, match={"subject": "third"}, every=2)
        self.sim.rule({"status": 454}, provider="mailgun")
        self.sim.rule({"status": 455}, probability=0.0)
        special = [{"to": [{"email": "x@special.org"}]}]
        self.assertEqual(self.send("rl.a1").status, 451)
        self.assertEqual([self.send("rl.b", personalizations=special).status for _ in range(3)],
                         [202, 452, 202])
        self.assertEqual([self.send("rl.c", subject="third").status for _ in range(4)],
                         [453, 202, 453, 202])

    def test_refused_rules(self):
        for spec in ({}, {"action": {}}, {"action": {"stauts": 1}}, {"action": {"hang": "later"}},
                     {"action": {"hang": "body"}, "match": {"rf_job": "x"}},
                     {"action": {"status": 500}, "provider": "nobody"},
                     {"action": {"status": 500}, "match": {"rf_job": "("}},
                     {"action": {"status": 500}, "matches": {}},
                     {"action": {"drip": {"part": "body"}}}, {"action": {"accept": "before"}}):
            self.assertIn("error", self.sim.control("POST", "/rules", spec, expect=400), spec)
        self.sim.rule({"status": 500}, name="one")
        self.sim.rule({"status": 500}, name="one", expect=400)
        self.sim.control("DELETE", "/rules/one")
        self.sim.control("DELETE", "/rules/one", expect=404)
        self.assertEqual(self.sim.control("GET", "/rules"), [])

    def test_delay(self):
        self.sim.rule({"delay": 0.3, "status": 503})
        start = time.monotonic()
        self.assertEqual(self.send("rl.delay").status, 503)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)

    def test_redirect(self):
        self.sim.rule({"redirect": {"status": 307, "location": "file:///etc/passwd"}})
        response = self.send("rl.redirect")
        self.assertEqual((response.status, response.headers["Location"]),
                         (307, "file:///etc/passwd"))
        self.assertEqual(self.accepted("rl.redirect"), 0)

    def test_hold(self):
        self.sim.rule({"hold": "gate"}, match={"rf_job": "hold"})
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.send("rl.hold").status))
        thread.start()
        wait_for(lambda: self.sim.control("GET", "/stats")["held"] == {"gate": 1})
        self.assertEqual(self.sim.phases("rl.hold"), ["body"])
        self.assertEqual(self.sim.stats()["in_progress"], 1)
        self.assertEqual(self.sim.control("POST", "/hold/gate/release"), {"released": 1})
        thread.join()
        self.assertEqual(answers, [202])
        self.assertEqual(self.sim.phases("rl.hold"), ["body", "accepted", "answered"])

    def test_hold_and_leave(self):
        for accept, phases in ((None, ["body", "refused"]), ("before", ["body", "accepted"]),
                               ("end", ["body", "accepted"])):
            self.sim.control("DELETE", "/rules")
            action = {"hold": "gate2"}
            if accept:
                action["accept"] = accept
            self.sim.rule(action)
            job = f"rl.leave.{accept}"
            with self.sim.raw() as tls:
                tls.sendall(sg_request(job))
                wait_for(lambda: self.sim.control("GET", "/stats")["held"] == {"gate2": 1})
                self.assertEqual(self.sim.phases(job), phases if accept == "before" else ["body"])
            wait_for(lambda: not self.sim.control("GET", "/stats")["held"])
            wait_for(lambda: self.sim.phases(job)[:2] == phases)

    def test_duplicates(self):
        self.send("rl.dup")
        self.send("rl.dup")
        connection = self.sim.http("mailgun")
        send_mg(connection, mg_fields("rl.dup"))
        connection.close()
        self.assertEqual(self.sim.stats()["duplicates"]["rl.dup"], 2)
        self.assertEqual(self.sim.control("GET", "/stats")["duplicates"]["rl.dup"], 3)


class BreakTest(Case):
    """Faults that destroy the connection or the answer."""

    def test_reset_after_the_body(self):
        for phase, begin in (("after_read", b""), ("after_status", b"HTTP/1.1 202 Accepted\r\n"),
                             ("mid_answer", b"HTTP/1.1 202 Accepted\r\n")):
            for accept in (None, False):
                job = f"br.{phase}.{accept}"
                action = {"reset": phase}
                if accept is not None:
                    action["accept"] = accept
                self.sim.rule(action, match={"rf_job": job + "$"})
                data, error = self.send_raw(job)
                self.assertIsInstance(error, ConnectionResetError, phase)
                self.assertTrue(data.startswith(begin), phase)
                self.assertEqual(self.accepted(job), 1 if accept is None else 0)
                self.assertNotIn("answered", self.sim.phases(job))

    def test_reset_before_the_body(self):
        for phase in ("accept", "before_read", "mid_body"):
            self.sim.control("DELETE", "/rules")
            self.sim.rule({"reset": phase}, provider="sendgrid", count=1)
            with self.assertRaises(OSError):
                data, error = self.send_raw(f"br.{phase}")
                if error is None:
                    self.fail(f"{phase}: no reset but {data}")
                raise error
            self.assertEqual(self.sim.phases(f"br.{phase}"), [])
            self.assertEqual(self.sim.control("GET", "/rules")[0]["applied"], 1)

    def test_close_on_reused_only(self):
        self.sim.rule({"close": "after_read", "only_reused": True})
        connection = self.sim.http()
        self.assertEqual(send_sg(connection, sg_mail("br.first")).status, 202)
        with self.assertRaises(http.client.RemoteDisconnected):
            send_sg(connection, sg_mail("br.second"))
        connection.close()
        self.assertEqual(self.sim.phases("br.second"), ["body", "accepted"])
        data, error = self.send_raw_once("br.third")
        self.assertTrue(data.startswith(b"HTTP/1.1 202"))
        self.assertIsNone(error)

    def send_raw_once(self, job):
        with self.sim.raw() as tls:
            tls.sendall(sg_request(job))
            return tls.recv(65536), None

    def test_hang(self):
        for phase in ("accept", "headers", "body", "before_status", "after_status"):
            self.sim.control("DELETE", "/rules")
            self.sim.rule({"hang": phase}, provider="sendgrid")
            job = f"br.hang.{phase}"
            data = b""
            with socket.create_connection(("127.0.0.1", self.sim.port("sendgrid"))) as sock:
                sock.settimeout(0.25)
                with self.assertRaises(TimeoutError):
                    tls = self.sim.context().wrap_socket(sock, server_hostname="localhost")
                    self.addCleanup(tls.close)
                    tls.sendall(sg_request(job))
                    while True:
                        data += tls.recv(65536)
                if phase != "accept":
                    tls.close()
            self.assertEqual(data.startswith(b"HTTP/1.1 202"), phase == "after_status")
            self.assertNotIn(b"\r\n\r\n", data)
            self.assertEqual(self.accepted(job), 1 if phase.endswith("status") else 0)
            wait_for(lambda: self.sim.stats()["open_connections"] == 0)

    def test_drip(self):
        for part in ("headers", "body"):
            self.sim.control("DELETE", "/rules")
            self.sim.rule({"drip": {"part": part, "bytes_per_s": 20}})
            with self.sim.raw() as tls:
                tls.sendall(sg_request(f"br.drip.{part}"))
                tls.settimeout(1)
                data = b""
                end = time.monotonic() + 0.5
                while time.monotonic() < end:
                    data += tls.recv(65536)
            if part == "body":
                data = data.partition(b"\r\n\r\n")[2]
            self.assertTrue(3 <= len(data) <= 20, (part, data))
            self.assertEqual(self.accepted(f"br.drip.{part}"), 1)

    def test_garbage(self):
        kinds = {
            "nul": rb"\u0000", "surrogate": rb"\ud800", "ff": b"\xff", "deep": b"[" * 1000,
            "bigexp": b"1e131072", "emoji": "\U0001f4ec".encode(), "empty": b"", "html": b"<html>",
            "nulbytes": b"\0",
        }
        connection = self.sim.http("mailgun")
        for kind, part in kinds.items():
            self.sim.control("DELETE", "/rules")
            self.sim.rule({"garbage": kind})
            response = send_mg(connection, mg_fields(f"br.garbage.{kind}"))
            self.assertEqual(response.status, 200)
            self.assertIn(part, response.body)
            self.assertEqual(self.accepted(f"br.garbage.{kind}"), 1)
            self.assertEqual(self.send(f"br.garbage.sg.{kind}").status, 202)
        connection.close()
        self.sim.control("DELETE", "/rules")
        self.sim.rule({"garbage": "not_http"})
        data, _ = self.send_raw("br.garbage.raw")
        self.assertFalse(data.startswith(b"HTTP/"))
        self.assertEqual(self.accepted("br.garbage.raw"), 1)

    def test_raw_bytes_in_rule(self):
        self.sim.rule({"status": 200, "headers": {"X-Message-Id": "\udcff\u00fc"}, "body": "\udcfe"})
        with self.sim.raw() as tls:
            tls.sendall(sg_request("br.bytes"))
            data = tls.recv(65536)
        self.assertIn(b"X-Message-Id: \xff\xc3\xbc\r\n", data)
        self.assertTrue(data.endswith(b"\xfe"))

    def test_huge(self):
        for huge, size in (({"bytes": 3000000}, 3000000),
                           ({"bytes": 3000000, "chunked": True}, 3000000)):
            self.sim.control("DELETE", "/rules")
            self.sim.rule({"huge": huge})
            self.assertEqual(len(self.send("br.huge").body), size)
        self.sim.control("DELETE", "/rules")
        self.sim.rule({"huge": {"headers": 10000, "header_bytes": 100000}})
        with self.sim.raw() as tls:
            tls.sendall(sg_request("br.heads"))
            data = b""
            while b"\r\n\r\n" not in data:
                data += tls.recv(1 << 20)
        self.assertGreater(data.count(b"\r\n"), 10000)
        self.assertIn(b"X-Long: " + b"x" * 100000, data)

    def test_huge_without_end(self):
        for huge in ({"endless": True}, {"endless": True, "chunked": True}):
            self.sim.control("DELETE", "/rules")
            self.sim.rule({"huge": huge})
            with self.sim.raw() as tls:
                tls.sendall(sg_request("br.endless"))
                total = 0
                while total < 3000000:
                    total += len(tls.recv(1 << 20))
            wait_for(lambda: self.sim.stats()["open_connections"] == 0)

    def test_content_length_lie(self):
        self.sim.rule({"huge": {"bytes": 100, "content_length_lie": True}})
        with self.assertRaises(http.client.IncompleteRead):
            self.send("br.lie")
        self.assertEqual(self.accepted("br.lie"), 1)

    def test_gzip_bomb(self):
        self.sim.rule({"gzip_bomb": 1 << 30})
        response = self.send("br.bomb")
        self.assertEqual(response.headers["Content-Encoding"], "gzip")
        self.assertLess(len(response.body), 4000000)
        inflate = zlib.decompressobj(wbits=31)
        self.assertEqual(len(inflate.decompress(response.body, 5 << 20)), 5 << 20)

    def test_rules_count_only_their_stage(self):
        self.sim.rule({"status": 500}, name="late", count=1)
        self.sim.rule({"reset": "before_read"}, name="early", count=1)
        _, error = self.send_raw("br.stage")
        self.assertIsInstance(error, OSError)
        self.assertEqual(self.send("br.stage").status, 500)
        self.assertEqual(self.send("br.stage").status, 202)


class ListenerTest(Case):
    def test_refuse_and_listen(self):
        connection = self.sim.http()
        self.assertEqual(send_sg(connection, sg_mail("ls.1")).status, 202)
        self.sim.control("POST", "/listener", {"provider": "sendgrid", "state": "refuse"})
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.sim.port("sendgrid")), PATIENCE)
        self.assertEqual(send_sg(connection, sg_mail("ls.2")).status, 202)
        result = self.sim.control("POST", "/listener",
                                  {"provider": "sendgrid", "state": "listen", "drop": True})
        self.assertEqual((result["listening"], result["dropped"]), (True, 1))
        with self.assertRaises(OSError):
            send_sg(connection, sg_mail("ls.3"))
        connection.close()
        self.assertEqual(self.sim.phases("ls.3"), [])
        self.assertEqual(self.send("ls.4").status, 202)

    def test_many_connections(self):
        connections = []
        for _ in range(100):
            connections.append(self.sim.http())
            connections[-1].connect()
        for number, connection in enumerate(connections):
            self.assertEqual(send_sg(connection, sg_mail(f"ls.many.{number}")).status, 202)
        self.assertGreaterEqual(self.sim.stats()["open_connections"], 100)
        for connection in connections:
            connection.close()

    def test_stats(self):
        self.send("ls.stats")
        stats = self.sim.stats()
        self.assertGreater(stats["requests"], 0)
        self.assertGreater(stats["status"]["202"], 0)
        self.assertGreater(stats["service_ms"]["p99"], 0)
        self.assertEqual(stats["in_progress"], 0)

    def test_journal_since(self):
        first = self.sim.control("GET", "/journal")
        self.send("ls.since")
        rest = self.sim.control("GET", f"/journal?since={first['next']}")
        self.assertIn("ls.since", [line.get("rf_job") for line in rest["lines"]])
        self.assertEqual(rest["next"], first["next"] + len(rest["lines"]))
        self.sim.control("GET", "/nothing", expect=404)


class LifeTest(unittest.TestCase):
    """Start and end; each test has a simulator of its own."""

    def test_restart_continues_the_journal(self):
        with tempfile.TemporaryDirectory() as directory:
            sim = Simulator(directory)
            connection = sim.http()
            send_sg(connection, sg_mail("lf.1"))
            connection.close()
            os.kill(sim.process.pid, signal.SIGKILL)    # durable without a farewell
            sim.stop()
            journal = sim.info["journal"]
            with open(journal, "ab") as file:
                file.write(b'{"torn')
            ca = open(sim.info["ca"], "rb").read()
            sim = Simulator(directory, "--no-fsync", "--keep-raw")
            try:
                self.assertEqual(open(sim.info["ca"], "rb").read(), ca)
                connection = sim.http()
                send_sg(connection, sg_mail("lf.1", subject="caf\u00e9"))
                connection.close()
                lines = sim.journal(rf_job="lf.1", phase="accepted")
                self.assertEqual(len(lines), 2)
                self.assertGreater(lines[1]["request"], lines[0]["request"])
                self.assertEqual(sim.stats()["duplicates"], {"lf.1": 2})
                body = sim.journal(rf_job="lf.1", phase="body")[1]
                self.assertEqual(json.loads(base64.b64decode(body["raw_body"]))["subject"],
                                 "caf\u00e9")
                self.assertTrue(base64.b64decode(body["raw_head"]).startswith(b"POST /v3/mail"))
            finally:
                sim.stop()

    def test_stops_with_parent_and_lifetime(self):
        with tempfile.TemporaryDirectory() as directory:
            parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            sim = Simulator(directory, parent=parent.pid)
            parent.communicate(b"\n")
            sim.process.wait(5)
            self.assertIn(b"parent is gone", sim.process.stderr.read())
            sim.stop()
            sim = Simulator(directory, "--lifetime", "0.3")
            sim.process.wait(5)
            self.assertEqual(sim.process.returncode, 0)
            sim.stop()

    def test_lone_surrogates(self):
        sys.path.insert(0, HERE)
        sys.dont_write_bytecode = True
        from journal import encode_line
        for text, expected in (("\udc80x", "\ufffdx"), ("\U0001f4ec", "\U0001f4ec"),
                               ("\\ud800", "\\ud800"), ("\\\udcff", "\\\ufffd")):
            self.assertEqual(json.loads(encode_line({"a": text})), {"a": expected})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as shared_directory:
        SHARED = Simulator(shared_directory, "--eu-domain", "eu.example.com")
        try:
            result = unittest.main(exit=False, verbosity=1).result
        finally:
            SHARED.stop()
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad - len(result.skipped)} passed, {bad} failed")
    sys.exit(1 if bad else 0)
