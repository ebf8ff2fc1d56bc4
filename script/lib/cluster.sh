# shellcheck shell=bash
# Build roleferry into a stage directory and run throw-away clusters from it.
# Sourced inside a workspace (RF_WORKSPACE, PG_MAJOR), never as root.
#
# Contract: nothing is installed on the system; a server finds the staged
# extension through its configuration.  Every cluster lives in RF_WORKSPACE,
# listens on a unix socket there and on nothing else, and fsyncs only if told
# to.  Whoever starts a cluster stops it; the workspace stops what is left.

pg_bin=/usr/lib/postgresql/$PG_MAJOR/bin
PATH=$pg_bin:$PATH
pgxs_dir=$(dirname "$(dirname "$("$pg_bin/pg_config" --pgxs)")")

# rf_build_stage NAME [make arguments]: $RF_WORKSPACE/stage-NAME, and
# $RF_WORKSPACE/stage-NAME.conf for the servers that shall load it.
rf_build_stage() {
	local name=$1 build=$RF_WORKSPACE/build-$1 stage=$RF_WORKSPACE/stage-$1
	shift

	cp -a "$RF_WORKSPACE/tree" "$build"
	make -s -C "$build" -j"$(nproc)" PG_CONFIG="$pg_bin/pg_config" "$@" &&
		make -s -C "$build" PG_CONFIG="$pg_bin/pg_config" "$@" \
			install DESTDIR="$stage" >/dev/null || return 1
	write_stage_conf "$stage" >"$stage.conf"
}

# Debian's PostgreSQL has extension_destdir; 18 has a setting of its own.
write_stage_conf() {
	local stage=$1

	if [ "$PG_MAJOR" -ge 18 ]; then
		printf "extension_control_path = '%s:\$system'\n" "$stage$("$pg_bin/pg_config" --sharedir)"
	else
		printf "extension_destdir = '%s'\n" "$stage"
	fi
	printf "dynamic_library_path = '%s:\$libdir'\n" "$stage$("$pg_bin/pg_config" --pkglibdir)"
}

# rf_start_cluster DIRECTORY CONF-FILE...: connect with
# psql -h DIRECTORY -U postgres.  The log is DIRECTORY/server.log.
rf_start_cluster() {
	local directory=$1
	shift

	mkdir -p "$directory"
	initdb -D "$directory/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N \
		>"$directory/initdb.log" || return 1
	{
		printf "listen_addresses = ''\nunix_socket_directories = '%s'\n" "$directory"
		printf "log_line_prefix = '%%m [%%p] %%q%%a '\n"
		cat "$@"
	} >>"$directory/data/postgresql.conf"
	pg_ctl -s -w -t 60 -D "$directory/data" -l "$directory/server.log" start
}

rf_stop_cluster() {
	pg_ctl -s -w -m fast -D "$1/data" stop
}
