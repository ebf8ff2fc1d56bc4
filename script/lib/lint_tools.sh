# shellcheck shell=bash
# The checks of script/lint that are other people's programs.  Sourced, not run.
#
# Contract: every check_NAME runs in the top directory of the tree, prints its
# findings (FILE:LINE: ...) and nothing else, and writes to $work only, which
# script/lint sets.
work=

# PostgreSQL's own macros do not pass the two that are switched off.
lint_warnings=(-Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wshadow
	-Wstrict-prototypes -Wold-style-definition -Wwrite-strings -Wformat=2
	-Wnull-dereference -Wdeclaration-after-statement -fmax-errors=3)

list_tool_checks() {
	declare -F | sed -n 's/^declare -f check_//p'
}

# Everything that is a shell script, whatever it is called.
list_shell_scripts() {
	find script test .ci -type f | sort | while IFS= read -r file; do
		case $file in
			*.sh) printf '%s\n' "$file" ;;
			*.*) ;;
			*) ! head -n 1 "$file" | grep -qE '^#!.*\b(ba|da)?sh\b' || printf '%s\n' "$file" ;;
		esac
	done
}

# compile_each FLAG... <FILES: as many compilers as cores, and no output kept.
compile_each() {
	local status=0

	xargs -r -P "$(nproc)" -I {} sh -c 'gcc "$@" -c -o /dev/null 2>&1 || :' \
		compile "$@" {} >"$work/compiled" || status=$?
	grep -E ': (warning|error|fatal error):' "$work/compiled" | sort -u || true
	return "$status"
}

# The module as PGXS compiles it, with the fault points and without.
check_warnings() {
	local -a flags

	read -r -a flags <<<"$(pg_config --cflags) $(pg_config --cppflags)"
	flags+=(-std=gnu11 -fPIC -Isrc "-I$(pg_config --includedir-server)" '-DRF_VERSION="0"'
		"${lint_warnings[@]}")
	{
		find src -name '*.c' | compile_each "${flags[@]}"
		grep -rl --include='*.c' RF_FAULTS src | compile_each -DRF_FAULTS "${flags[@]}"
	} | sort -u
}

# The pure folders also keep their types, and PostgreSQL is not even found.
check_conversions() {
	find src/codec src/core src/provider src/webhook src/http -name '*.c' |
		compile_each -std=gnu11 -D_GNU_SOURCE -O2 -fPIC -Isrc "${lint_warnings[@]}" -Wconversion
}

# Headers include what they need.  Those that PostgreSQL's files share may
# count on postgres.h.
check_headers() {
	local header
	local -a server=(-include postgres.h "-I$(pg_config --includedir-server)")

	find src -name '*.h' | sort | while IFS= read -r header; do
		case $header in
			src/codec/* | src/core/* | src/provider/* | src/webhook/* | src/http/*) compile_header "$header" ;;
			*) compile_header "$header" "${server[@]}" ;;
		esac
	done
}

# compile_header FILE FLAG...
compile_header() {
	local header=$1
	shift

	printf '#include "%s"\n' "${header#src/}" |
		gcc -std=gnu11 -D_GNU_SOURCE -fsyntax-only -Wall -fmax-errors=3 -Isrc "$@" -x c - 2>&1 |
		grep -E ': (warning|error|fatal error):' || true
}

check_cppcheck() {
	cppcheck --quiet -j "$(nproc)" --std=c11 --inline-suppr \
		--enable=warning,performance,portability --library=posix,gnu,libcurl,openssl \
		--include=script/lib/lint_postgres.h -Isrc -DRF_FAULTS '-DRF_VERSION="0"' \
		'--template={file}:{line}: {message} ({id})' src 2>&1
}

# What a sourced file sets is used elsewhere (SC2034); a comma in an array
# belongs to a flag of the compiler (SC2054).
check_shell() {
	local file excluded

	list_shell_scripts | while IFS= read -r file; do
		excluded=SC2054
		[ "${file%.sh}" = "$file" ] || excluded+=,SC2034
		bash -n "$file" 2>&1 | sed -E 's/^([^:]+): line ([0-9]+):/\1:\2:/'
		shellcheck --external-sources --severity=warning --exclude="$excluded" --format=gcc "$file" || true
	done
}

# pgindent, as script/format runs it; it counts what differs by its status.
check_format() {
	local output

	output=$(script/format --check src) || true
	case $output in
		*'format: '*) printf '%s\n' "$output" | sed -n '/\.[ch]$/s/$/:1: not laid out as script\/format does/p' ;;
		*) printf '%s\n' "$output" && return 1 ;;
	esac
}

check_perl() {
	local file pgxs

	pgxs=$(dirname "$(dirname "$(pg_config --pgxs)")")
	for file in test/t/*.pl test/perl/*.pm; do
		perl -I "$pgxs/test/perl" -I test/perl -wc "$file" 2>&1 |
			sed -nE "/ syntax OK\$/!s|^(.*) at ([^ ]+) line ([0-9]+).*|\\2:\\3: \\1|p"
	done
}
