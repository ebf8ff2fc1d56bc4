"""What the source is held to: lists and limits.  lint_source.py applies them."""

import re

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 400

# Files that may be longer, each with the reason.
LONG_FILES = {}

# Which folders of src a folder may include from, besides itself.
ARROWS = {
    "codec": set(),
    "core": {"codec"},
    "provider": {"codec", "core"},
    "http": {"codec"},
    "webhook": {"codec", "core", "provider"},
    "shmem": {"codec", "core"},
    "account": {"provider"},
    "outbox": {"codec", "core", "provider", "shmem", "account"},
    "inbox": {"codec", "core", "provider", "webhook", "shmem", "account", "outbox"},
    "worker": {"codec", "core", "provider", "http", "shmem", "account", "outbox"},
    "api": {"codec", "core", "provider", "http", "webhook", "shmem", "account", "outbox",
            "inbox", "worker"},
}

# No header of PostgreSQL, and none of ours that needs one.
PURE = {"codec", "core", "provider", "http", "webhook"}
TOP_HEADERS = {"settings.h", "errors.h", "compat.h"}

# PostgreSQL 15 exports every global symbol of a library.
GLOBAL_NAME = re.compile(r"rf_|roleferry_|_PG_init$")

# jansson's macros take keys in pairs; ours check the types of the values.
JSON_BUILDER = re.compile(r"\bjson_object\s*\(")
JSON_BUILDER_HOME = "src/provider/json.h"

# Written so that they do not find themselves.
MARK = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}>/*])/(work|root|Users|home/[a-z]\w*)/")

# Words that only look like a mark.
MARK_FILES = {"script/lib/count_results.awk": "TAP has a directive of that name"}
