"""The providers' own behaviour: what they take, what they refuse, and TLS."""

import http.client
import json
import socket
import ssl
import time

from selftest_support import (
    Case, PATIENCE, SG_AUTH, finish, mg_fields, send_mg, send_sg, sg_mail, sg_request, wait_for)


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
