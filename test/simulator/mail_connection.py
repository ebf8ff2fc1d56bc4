"""The life of one connection to a provider: requests, decisions, journal lines."""

import asyncio
import base64
import time

from faults import deliver, shape_answer
from http_connection import (Answer, BodyTooLarge, linger, read_body,
                             read_half_body, read_head)
from provider import Mail, Verdict
from stream import ConnectionGone, ProtocolError

NO_ACTION = {}


class Holds:
    """Requests that wait for POST /hold/NAME/release."""

    def __init__(self):
        self.waiting = {}

    async def wait(self, name, gone):
        """True when released, False when the connection ended first."""
        ticket = gone.get_loop().create_future()
        self.waiting.setdefault(name, []).append(ticket)
        try:
            await asyncio.wait((ticket, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not ticket.done():
                self.waiting[name].remove(ticket)
        return ticket.done()

    def release(self, name, count=None):
        """Let those go on that wait now, the oldest first; returns how many."""
        tickets = self.waiting.get(name, [])
        going, self.waiting[name] = tickets[:count], tickets[len(tickets[:count]):]
        for ticket in going:
            ticket.set_result(None)
        return len(going)

    def describe(self):
        return {name: len(tickets) for name, tickets in self.waiting.items() if tickets}


class MailConnection:
    """Serves one stream.  `world` holds journal, rules, counters, holds, keep_raw."""

    def __init__(self, world, provider, context, stream):
        self.world = world
        self.provider = provider
        self.context = context
        self.stream = stream
        self.counters = world.counters.providers[provider.name]
        self.conn = world.next_connection()
        self.request_id = None      # of the request in progress
        self.requests = 0
        self.rule = None            # name of the rule that struck
        self.sent_before = 0

    def note(self, phase, **fields):
        self.world.journal.write(phase, self.provider.name, conn=self.conn,
                                 request=self.request_id, **fields)

    async def run(self):
        self.counters.connections += 1
        self.counters.open_connections += 1
        self.note("connect")
        try:
            await self.serve()
        except ConnectionGone:
            pass
        except ProtocolError as error:
            await self.answer_nonsense(error)
        except asyncio.CancelledError:
            self.stream.ended_by = "stop"
        finally:
            if self.request_id is not None:
                self.counters.in_progress -= 1
            self.stream.close()
            self.counters.open_connections -= 1
            self.note("closed", rule=self.rule, why=self.stream.ended_by,
                      tls=self.stream.tls_version(), requests=self.requests,
                      bytes_in=self.stream.bytes_in,
                      bytes_out=self.stream.plain_out - self.sent_before)

    async def serve(self):
        await self.strike("connect")
        await self.stream.start_tls(self.context)
        while True:
            self.rule = None
            self.sent_before = self.stream.plain_out
            await self.stream.peek()
            self.request_id = self.world.next_request()
            self.requests += 1
            self.counters.begin_request()
            keep_alive = await self.serve_request()
            self.counters.in_progress -= 1
            self.request_id = None
            if not keep_alive:
                self.stream.close("server")
                return

    async def strike(self, stage, request=None):
        """Apply a rule of a stage before the body; does not return if one strikes."""
        rule = self.world.rules.pick(stage, self.provider.name, reused=self.requests > 1)
        if rule is None:
            return
        self.rule = rule.name
        if rule.action.get("hang"):
            await self.stream.freeze()
        if rule.action["reset"] == "mid_body":
            await read_half_body(self.stream, request)
        self.stream.reset()
        raise ConnectionGone

    async def serve_request(self):
        """One request; returns whether the connection can take another."""
        await self.strike("start")
        request = await read_head(self.stream)
        self.note("headers", method=request.method, path=request.path,
                  header_lines=request.header_lines, reused=self.requests > 1)
        await self.strike("head", request)
        try:
            await read_body(self.stream, request, self.provider.body_limit)
        except BodyTooLarge:
            return await self.refuse_large()
        started = time.perf_counter()
        verdict = self.provider.examine(request)
        rule = self.world.rules.pick("body", self.provider.name, verdict.mail,
                                     self.requests > 1)
        action = NO_ACTION
        if rule is not None:
            self.rule, action = rule.name, rule.action
        self.note_body(request, verdict)
        if rule is not None:
            await self.world.journal.durable()      # what follows may be seen by the test
        answer = await self.decide(verdict, action)
        keep_alive = await deliver(self.stream, answer, action, request.keep_alive)
        self.counters.status[answer.status] += 1
        self.counters.service_ms.append((time.perf_counter() - started) * 1000)
        self.note("answered", rf_job=verdict.mail.rf_job, status=answer.status,
                  rule=self.rule, bytes_out=self.stream.plain_out - self.sent_before)
        return keep_alive

    def note_body(self, request, verdict):
        mail = verdict.mail
        fields = dict(mail.extra)
        if mail.call is not None:
            fields["call"] = mail.call
        if self.world.keep_raw:
            fields["raw_head"] = base64.b64encode(request.raw_head).decode()
            fields["raw_body"] = base64.b64encode(request.body).decode()
        self.note("body", rf_job=mail.rf_job, rule=self.rule, to=mail.to, subject=mail.subject,
                  custom_args=mail.custom_args, header_lines=request.header_lines,
                  bytes_in=len(request.body), **fields)

    async def decide(self, verdict, action):
        """Delay, hold, take or refuse the mail; returns the answer once that is on disk."""
        if "delay" in action:
            await asyncio.sleep(action["delay"])
        if "hold" not in action:
            return await self.settle(verdict, action)
        if action.get("accept") == "before":
            answer = await self.settle(verdict, action)
            if not await self.world.holds.wait(action["hold"], self.stream.gone):
                raise ConnectionGone
            return answer
        released = await self.world.holds.wait(action["hold"], self.stream.gone)
        if not released and action.get("accept") != "end":
            await self.settle(verdict, {"accept": False})
            raise ConnectionGone
        return await self.settle(verdict, action)

    async def settle(self, verdict, action):
        """Write down whether the mail is taken."""
        answer, taken = shape_answer(action, verdict, self.provider)
        mail = verdict.mail
        facts = {} if mail.call is None else {"call": mail.call, "credits": 0}
        if taken:
            phase = "accepted"
            self.world.counters.accept(self.provider.name, mail.rf_job, verdict.sandbox)
            if mail.call is None:
                self.world.events.remember(self.provider.name, mail, verdict.answer)
            if verdict.commit is not None:
                facts.update(verdict.commit())
            self.counters.credits += facts.get("credits", 0)
        elif verdict.sandbox and answer.status < 300 and action.get("accept") is not False:
            phase = "sandbox"
            self.counters.sandbox += 1
        else:
            phase = "refused"
            self.counters.refused += 1
        self.note(phase, rf_job=mail.rf_job, status=answer.status, rule=self.rule,
                  to=mail.to, custom_args=mail.custom_args, sandbox=verdict.sandbox, **facts)
        await self.world.journal.durable()
        return answer

    async def refuse_large(self):
        answer = await self.settle(Verdict(Mail(), self.provider.too_large()), NO_ACTION)
        await self.answer_and_end(answer)
        return False

    async def answer_nonsense(self, error):
        """400 to something that is no HTTP request; such a thing has no body line."""
        answer = Answer(400, {"Content-Type": "text/plain"}, f"{error}\n".encode())
        if self.request_id is not None:
            answer = await self.settle(Verdict(Mail(), answer), NO_ACTION)
        try:
            await self.answer_and_end(answer)
        except ConnectionGone:
            pass
        self.stream.ended_by = f"protocol: {error}"

    async def answer_and_end(self, answer):
        """Answer although unread bytes remain; they are swallowed before closing."""
        self.stream.write(answer.head(False) + answer.body)
        self.counters.status[answer.status] += 1
        self.note("answered", status=answer.status, rule=self.rule,
                  bytes_out=self.stream.plain_out - self.sent_before)
        await linger(self.stream)
