"""Reading C without a compiler: comments and strings out, brackets matched."""

import json
import re
import subprocess

TOKEN = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)
ENUM = re.compile(r"\benum\s+\w*\s*\{([^}]*)\}")


def blank(text):
    """As long as before and with the same lines, so that positions stay right."""
    return re.sub(r"[^\n]", " ", text)


def code_of(text):
    """The text with comments blanked and strings emptied."""
    def replace(match):
        token = match.group(0)
        if token[0] == "/":
            return blank(token)
        return token[0] + blank(token[1:-1]) + token[-1]
    return TOKEN.sub(replace, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def closing(code, start):
    """Position after the bracket that closes the one at start."""
    pairs = {"(": ")", "{": "}"}
    opened, closed = code[start], pairs[code[start]]
    depth = 0
    for position in range(start, len(code)):
        if code[position] == opened:
            depth += 1
        elif code[position] == closed:
            depth -= 1
            if depth == 0:
                return position + 1
    return len(code)


def calls(code, pattern):
    """(position, arguments) of each match of a pattern that ends at a bracket."""
    for match in re.finditer(pattern, code):
        start = match.end() - 1
        yield match.start(), code[start:closing(code, start)]


def enum_members(code):
    for match in ENUM.finditer(code):
        for member in match.group(1).split(","):
            name = re.match(r"\s*(\w+)", member)
            if name:
                yield name.group(1)


def switches(code):
    """(position, body) of each switch, the switches inside it blanked."""
    found = []
    for match in re.finditer(r"\bswitch\s*\(", code):
        after = closing(code, match.end() - 1)
        brace = code.find("{", after)
        found.append((match.start(), brace, closing(code, brace)))
    for position, start, end in found:
        body = code[start:end]
        for inner, inner_start, inner_end in found:
            if start < inner < end:
                body = (body[:inner_start - start] + blank(code[inner_start:inner_end])
                        + body[inner_end - start:])
        yield position, body


def tags(paths):
    """Functions and file-level variables, as universal-ctags sees them."""
    output = subprocess.run(
        ["ctags", "--languages=C", "--langmap=C:.c.h", "--kinds-C=fv", "--fields=+neKt",
         "-I", "PG_FUNCTION_INFO_V1+,PG_MODULE_MAGIC,PGDLLEXPORT",
         "--output-format=json", "-f", "-", *paths],
        check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        tag = json.loads(line)
        if tag.get("_type") == "tag":
            yield tag
