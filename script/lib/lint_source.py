"""Checks of the source that need no compiler.

lint_source.py --list    the names of the checks, a line each
lint_source.py NAME      prints the findings of one, as FILE:LINE: what is wrong

Run in the top directory of the tree.  Every function below that begins with
"check_" is a check, and its first line says what must hold.
"""

import pathlib
import re
import subprocess
import sys

import lint_rules as rules
import lint_text

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def files(*patterns):
    """Paths with slashes, sorted; nothing that a build leaves behind."""
    found = {path.as_posix() for pattern in patterns for path in pathlib.Path().glob(pattern)
             if path.is_file() and "__pycache__" not in path.parts}
    return sorted(found)


def sources():
    return files("src/**/*.c", "src/**/*.h")


def all_text():
    """Whatever a person wrote."""
    return files("*.md", "*.json", "Makefile", "*.control", "src/**/*", "sql/**/*.sql",
                 "script/**/*", "doc/**/*", "test/**/*.[chmp]*", "test/**/*.sql", "test/http/run")


def read(path):
    return pathlib.Path(path).read_text(encoding="utf-8", errors="surrogateescape")


def code(path):
    return lint_text.code_of(read(path))


def folder(path):
    """The layer of a file of src; "" for those at its top."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""


def includes(path):
    """(line, bracket, name) of each #include that is not in a comment."""
    text = read(path)
    visible = lint_text.code_of(text)
    for match in INCLUDE.finditer(text):
        if not visible[match.start():match.end()].isspace():
            yield lint_text.line_of(text, match.start()), match.group(1), match.group(2)


def check_layers():
    """Includes follow the arrows between the folders of src."""
    for path in sources():
        layer = folder(path)
        if layer == "":
            continue
        if layer not in rules.ARROWS:
            yield path, 1, f'"{layer}" is no layer'
            continue
        for line, _, name in includes(path):
            if not pathlib.Path("src", name).is_file():
                continue
            target = folder("src/" + name)
            if target == "":
                if layer in rules.PURE or name not in rules.TOP_HEADERS:
                    yield path, line, f'{layer} may not include "{name}"'
            elif target != layer and target not in rules.ARROWS[layer]:
                yield path, line, f'{layer} may not use {target}: "{name}"'


def check_includes():
    """Includes are written from src; what is quoted is ours or PostgreSQL's."""
    server = server_headers()
    for path in sources():
        for line, bracket, name in includes(path):
            ours = pathlib.Path("src", name).is_file()
            if ours and bracket == "<":
                yield path, line, f'"{name}" is a file of ours, write it with quotes'
            elif not ours and bracket == '"' and path != "src/compat.h" and \
                    not (server / name).is_file():
                yield path, line, f'"{name}" is neither below src nor PostgreSQL\'s'


def check_purity():
    """The pure folders include no header of PostgreSQL."""
    server = server_headers()
    for path in sources():
        if folder(path) not in rules.PURE:
            continue
        for line, _, name in includes(path):
            if not pathlib.Path("src", name).is_file() and (server / name).is_file():
                yield path, line, f'{folder(path)} is pure, "{name}" is PostgreSQL\'s'


def server_headers():
    return pathlib.Path(subprocess.run(["pg_config", "--includedir-server"], check=True,
                                       capture_output=True, text=True).stdout.strip())


def check_functions():
    """No function is longer than the limit."""
    for tag in lint_text.tags(files("src/**/*.[ch]", "test/**/*.[ch]")):
        length = tag.get("end", tag["line"]) - tag["line"] + 1
        if tag["kind"] == "function" and length > rules.MAX_FUNCTION_LINES:
            yield tag["path"], tag["line"], f"{tag['name']} has {length} lines"


def check_files():
    """No file is longer than the limit, but for the few that say why."""
    for path in sources():
        length = read(path).count("\n")
        if length > rules.MAX_FILE_LINES and path not in rules.LONG_FILES:
            yield path, 1, f"{length} lines, {rules.MAX_FILE_LINES} are the limit"
        elif length <= rules.MAX_FILE_LINES and path in rules.LONG_FILES:
            yield path, 1, "needs no exception any more, see LONG_FILES"


def check_banners():
    """The banner names the file, a C file's also its place."""
    for path in sources():
        text = read(path)
        name = path.rsplit("/", 1)[1]
        if not re.match(r"/\*-+\n \*\n \* " + re.escape(name) + r"\n \*\t  \S", text):
            yield path, 1, f'the banner does not begin with "{name}" and a line about it'
        if path.endswith(".c") and f" * IDENTIFICATION\n *\t  {path}\n" not in text:
            yield path, 1, f'IDENTIFICATION does not say "{path}"'


def check_errcodes():
    """Every ereport from ERROR on has an errcode."""
    for path in sources():
        text = code(path)
        for position, call in lint_text.calls(text, r"\bereport\s*\("):
            if re.match(r"\(\s*(ERROR|FATAL|PANIC)\b", call) and not re.search(r"\berrcode\w*\s*\(", call):
                yield path, lint_text.line_of(text, position), "ereport without errcode"


def check_names():
    """Global names carry the prefix of the extension."""
    for tag in lint_text.tags(sources()):
        # ctags does not see the "static" before a struct without a name.
        static = tag.get("file") or "__anon" in tag.get("typeref", "")
        if not static and not rules.GLOBAL_NAME.match(tag["name"]):
            yield tag["path"], tag["line"], f"{tag['name']} is global and has no prefix"


def check_json():
    """JSON objects are made in one place."""
    for path in sources():
        text = code(path)
        for match in rules.JSON_BUILDER.finditer(text):
            if path != rules.JSON_BUILDER_HOME:
                yield path, lint_text.line_of(text, match.start()), \
                    f"json_object() belongs into {rules.JSON_BUILDER_HOME}"


def check_marks():
    """Nothing is left for later."""
    for path in all_text():
        text = read(path)
        for match in rules.MARK.finditer(text):
            if path not in rules.MARK_FILES:
                yield path, lint_text.line_of(text, match.start()), f"{match.group(1)}: open an issue"


def check_paths():
    """No path of somebody's machine."""
    for path in all_text():
        text = read(path)
        for match in rules.MACHINE_PATH.finditer(text):
            yield path, lint_text.line_of(text, match.start()), f"machine path {match.group(0)}"


def check_ascii():
    """C and SQL are ASCII: the server's encoding is not known."""
    for path in files("src/**/*.[ch]", "sql/**/*.sql", "test/**/*.[ch]"):
        for number, line in enumerate(read(path).splitlines(), 1):
            if not line.isascii():
                yield path, number, "not ASCII"


def check_switches():
    """A switch over an enum has no default, so that the compiler misses no member."""
    members = {name for path in sources() for name in lint_text.enum_members(code(path))}
    for path in sources():
        text = code(path)
        for position, body in lint_text.switches(text):
            labels = re.findall(r"\bcase\s+(\w+)\s*:", body)
            if members.intersection(labels) and re.search(r"\bdefault\s*:", body):
                yield path, lint_text.line_of(text, position), "switch over an enum with a default"


def check_comments():
    """Every object of the SQL interface has a COMMENT."""
    kinds = "FUNCTION|PROCEDURE|AGGREGATE|TABLE|VIEW|TYPE|DOMAIN|SEQUENCE"
    for path in files("sql/roleferry/*.sql"):
        text = read(path)
        commented = re.findall(rf"^COMMENT ON ({kinds})\s+([\w.]+)", text, re.M)
        for match in re.finditer(rf"^CREATE\s+({kinds})\s+([\w.]+)", text, re.M):
            if match.groups() in commented:
                commented.remove(match.groups())    # overloads want one each
            else:
                yield path, lint_text.line_of(text, match.start()), \
                    f"{match.group(1).lower()} {match.group(2)} has no COMMENT"


def check_numbers():
    """Of the files that run in the order of their numbers no two have the same."""
    for pattern in ("sql/roleferry/*.sql", "test/t/*.pl", "test/pgtap/*.sql"):
        seen = {}
        for path in files(pattern):
            number = path.split("/")[-1].split("_")[0]
            if number in seen:
                yield path, 1, f"has the number of {seen[number]}"
            seen.setdefault(number, path)


def check_python():
    """The Python can be parsed."""
    for path in files("script/**/*.py", "test/**/*.py"):
        try:
            compile(read(path), path, "exec")
        except SyntaxError as error:
            yield path, error.lineno, error.msg


def main():
    checks = {name[len("check_"):]: function for name, function in globals().items()
              if name.startswith("check_")}
    if sys.argv[1:] == ["--list"]:
        print("\n".join(checks))
        return 0
    for path, line, message in checks[sys.argv[1]]():
        print(f"{path}:{line}: {message}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
