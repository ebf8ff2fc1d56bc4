"""Faults that destroy connections and answers."""

import http.client
import socket
import time
import zlib

from selftest_support import PATIENCE, Case, mg_fields, send_mg, send_sg, sg_mail, sg_request, wait_for


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
                sock.settimeout(0.25 if phase == "accept" else PATIENCE)
                with self.assertRaises(TimeoutError):
                    tls = self.sim.context().wrap_socket(sock, server_hostname="localhost")
                    self.addCleanup(tls.close)
                    tls.sendall(sg_request(job))
                    if phase == "after_status":
                        data += tls.recv(65536)
                    if phase.endswith("status"):
                        wait_for(lambda: self.accepted(job) == 1)
                    tls.settimeout(0.25)
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
                begin = time.monotonic()
                tls.sendall(sg_request(f"br.drip.{part}"))
                tls.settimeout(PATIENCE)
                data = dripped = b""
                while time.monotonic() < begin + 0.5 or len(dripped) < 3:
                    data += tls.recv(65536)
                    dripped = data if part == "headers" else data.partition(b"\r\n\r\n")[2]
                took = time.monotonic() - begin
            self.assertTrue(3 <= len(dripped) <= 20 * took + 10, (part, took, data))
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
        self.sim.rule({"status": 200, "headers": {"X-Message-Id": "\udcff\u00fc"},
                       "body": "\udcfe"})
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
