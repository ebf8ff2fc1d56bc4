"""The control port: plain HTTP, JSON in and out."""

import json
import urllib.parse

import certificates
from events import EventError
from http_connection import Answer, BodyTooLarge, read_body, read_head
from rules import RuleError
from stream import ConnectionGone, ProtocolError

BODY_LIMIT = 64 * 1024 * 1024
JOURNAL_LINES = 100000


class ControlError(Exception):
    """The request cannot be served; carries the status."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Control:
    """Routes of the control port."""

    def __init__(self, world):
        self.world = world

    async def serve(self, stream):
        try:
            keep_alive = True
            while keep_alive:
                request = await read_head(stream)
                await read_body(stream, request, BODY_LIMIT)
                answer = await self.answer(request)
                stream.write(answer.head(request.keep_alive) + answer.body)
                keep_alive = request.keep_alive
        except (ConnectionGone, ProtocolError, BodyTooLarge):
            pass

    async def answer(self, request):
        try:
            result = await self.route(request)
            status = 200
        except ControlError as error:
            result, status = {"error": str(error)}, error.status
        except RuleError as error:
            result, status = {"error": str(error)}, 400
        body = result if isinstance(result, bytes) else json.dumps(result).encode()
        return Answer(status, {"Content-Type": "application/json"}, body + b"\n")

    async def route(self, request):
        words = [urllib.parse.unquote(word) for word in request.path.strip("/").split("/")]
        handler = getattr(self, f"{request.method.lower()}_{words[0]}", None)
        if handler is None:
            raise ControlError(404, f"no {request.method} {request.path}")
        return await handler(words[1:], request)

    @staticmethod
    def document(request):
        try:
            return json.loads(request.body or b"{}")
        except ValueError as error:
            raise ControlError(400, f"bad JSON: {error}") from error

    async def get_rules(self, words, request):
        return [rule.describe() for rule in self.world.rules.rules]

    async def post_rules(self, words, request):
        rule = self.world.rules.add(self.document(request), self.world.providers)
        return rule.describe()

    async def delete_rules(self, words, request):
        if not words:
            return {"removed": self.world.rules.clear()}
        if not self.world.rules.remove(words[0]):
            raise ControlError(404, f"no rule {words[0]!r}")
        return {"removed": 1}

    async def get_stats(self, words, request):
        await self.world.journal.durable()
        stats = self.world.counters.describe()
        stats["held"] = self.world.holds.describe()
        stats["journal_bytes"] = self.world.journal.size
        return stats

    async def get_journal(self, words, request):
        query = urllib.parse.parse_qs(request.query)
        try:
            since = int(query.get("since", ["0"])[0])
            limit = int(query.get("limit", [str(JOURNAL_LINES)])[0])
        except ValueError as error:
            raise ControlError(400, "since and limit are numbers") from error
        await self.world.journal.durable()
        lines = self.world.journal.read_from(since, limit)
        return b'{"next":%d,"lines":[%b]}' % (since + len(lines), b",".join(lines))

    async def get_events(self, words, request):
        return self.world.events.keys()

    async def post_events(self, words, request):
        try:
            return self.world.events.fetch(self.document(request))
        except EventError as error:
            raise ControlError(400, str(error)) from error

    async def post_hold(self, words, request):
        if len(words) != 2 or words[1] != "release":
            raise ControlError(404, "POST /hold/NAME/release")
        count = self.document(request).get("count")
        return {"released": self.world.holds.release(words[0], count)}

    async def post_listener(self, words, request):
        """Close or open the port, drop its connections, change its certificate."""
        wish = self.document(request)
        listener = self.world.listeners.get(wish.get("provider"))
        if listener is None:
            raise ControlError(400, f"no provider {wish.get('provider')!r}")
        if wish.get("state") not in (None, "listen", "refuse"):
            raise ControlError(400, "state is listen or refuse")
        if "certificate" in wish:
            self.change_certificate(listener.name, wish["certificate"])
        if wish.get("state") == "listen":
            await listener.open()
        elif wish.get("state") == "refuse":
            listener.refuse()
        dropped = listener.drop() if wish.get("drop") else 0
        return {"provider": listener.name, "listening": listener.server is not None,
                "dropped": dropped}

    def change_certificate(self, name, kind):
        if kind not in certificates.KINDS:
            raise ControlError(400, f"certificate is one of {list(certificates.KINDS)}")
        self.world.contexts[name] = certificates.server_context(self.world.directory, kind)
