# shellcheck shell=bash
# A private copy of the tree, used by an unprivileged user.  Sourced, not run.
#
# Contract: PostgreSQL refuses to run as root and the tree may belong to
# somebody else, so every command works on a copy in a directory of its own.
# The tree itself is only read.  Whatever was started inside is stopped when
# the command ends, however it ends, and the directory is removed.
# rf_keep_workspace=files leaves the directory, rf_keep_workspace=running
# leaves what runs in it too.
#
# Processes are found by what only ours have: the postmaster.pid files in the
# directory, and the directory's name in the variable RF_WORKSPACE.

rf_workspace=
rf_keep_workspace=
rf_job=

# Anyone but root; as root the user that PostgreSQL's packages made.
workspace_user() {
	if [ "$(id -u)" -eq 0 ]; then
		printf 'postgres\n'
	else
		id -un
	fi
}

# What git would commit, with changes not yet committed; without git all but
# what a build leaves behind.
copy_tree() {
	local from=$1 to=$2

	mkdir -p "$to"
	if git -c safe.directory='*' -C "$from" rev-parse --git-dir >/dev/null 2>&1; then
		(cd "$from" &&
			git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
			while IFS= read -r -d '' file; do
				[ ! -e "$file" ] || printf '%s\0' "$file"
			done | tar --null --no-recursion -T - -cf -) | tar -C "$to" -xf -
	else
		tar -C "$from" --exclude=./.git --exclude=./build --exclude=./stage \
			--exclude='*.o' --exclude='*.so' -cf - . |
			tar -C "$to" -xf -
	fi
}

rf_create_workspace() {
	local tree=$1 parent

	for parent in "${TMPDIR:-/var/tmp}" /var/tmp /tmp; do
		rf_workspace=$(mktemp -d "$parent/roleferry-XXXXXX" 2>/dev/null) && break
	done
	[ -n "$rf_workspace" ] || rf_die "no temporary directory can be written to"
	trap 'rf_end_workspace $?' EXIT
	trap 'rf_stop_job; exit 130' INT
	trap 'rf_stop_job; exit 143' TERM HUP

	copy_tree "$tree" "$rf_workspace/tree"
	if [ "$(id -u)" -eq 0 ]; then
		chown -R "$(workspace_user):" "$rf_workspace"
	fi
}

# Run a command in the copy, with an environment that holds nothing of the
# caller's but the switches of ours.  The command gets a process group of its
# own, so that one signal ends it with its children.
rf_run_in_workspace() {
	local status=0
	local -a switch_user=()

	if [ "$(id -u)" -eq 0 ]; then
		switch_user=(setpriv --reuid=postgres --regid=postgres --init-groups)
	fi

	set -m
	(cd "$rf_workspace/tree" && exec "${switch_user[@]}" env -i \
		PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
		HOME="$rf_workspace" TMPDIR="$rf_workspace" LANG=C.UTF-8 TERM="${TERM:-dumb}" \
		RF_WORKSPACE="$rf_workspace" RF_LONG="${RF_LONG:-}" PG_MAJOR="$PG_MAJOR" \
		RF_VECTORS="${RF_VECTORS:-}" \
		"$@") </dev/null &
	rf_job=$!
	set +m
	wait "$rf_job" || status=$?
	rf_job=
	return "$status"
}

rf_stop_job() {
	[ -n "$rf_job" ] || return 0
	kill -TERM -- "-$rf_job" 2>/dev/null || true
	wait "$rf_job" 2>/dev/null || true
	rf_job=
}

list_leftover_processes() {
	local file pid

	find "$rf_workspace" -name postmaster.pid -exec head -q -n 1 {} + 2>/dev/null |
		while read -r pid; do
			case $(readlink "/proc/$pid/cwd" 2>/dev/null) in
				"$rf_workspace"/*) printf '%s\n' "$pid" ;;
			esac
		done
	for file in /proc/[0-9]*/environ; do
		if grep -qszxF "RF_WORKSPACE=$rf_workspace" "$file" 2>/dev/null; then
			pid=${file#/proc/}
			printf '%s\n' "${pid%/environ}"
		fi
	done
}

# A postmaster takes SIGQUIT as "immediate"; so does everything else of ours.
stop_leftover_processes() {
	local signal pids

	for signal in QUIT QUIT KILL; do
		pids=$(list_leftover_processes)
		[ -n "$pids" ] || return 0
		# shellcheck disable=SC2086
		kill "-$signal" $pids 2>/dev/null || true
		sleep 0.5
	done
}

rf_end_workspace() {
	local status=$1

	trap '' INT TERM HUP
	rf_stop_job
	[ "$rf_keep_workspace" = running ] || stop_leftover_processes
	[ -n "$rf_keep_workspace" ] || rm -rf "$rf_workspace"
	exit "$status"
}
