# shellcheck shell=bash
# Debian packages that the commands under script/ need.  Sourced, not run.
#
# Contract: rf_install_packages sets PG_MAJOR and leaves the machine with the
# packages installed.  It upgrades nothing, creates no PostgreSQL cluster,
# starts no service, and takes back every configuration change it made, also
# when it is interrupted.  With everything installed it runs no apt at all.

# Everything that does not carry PostgreSQL's major version in its name.
rf_common_packages=(
	postgresql-common libipc-run-perl libtap-parser-sourcehandler-pgtap-perl
	libcurl4-openssl-dev libssl-dev libjansson-dev
	gcc libc6-dev make clang perl python3 openssl universal-ctags
)

rf_policy_file=/usr/sbin/policy-rc.d
rf_createcluster_conf=/etc/postgresql-common/createcluster.conf
rf_policy_added=
rf_conf_backup=

rf_say() { printf '%s\n' "$*"; }
rf_die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Run as root; a user needs sudo, and only for this.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# In a session of its own, out of reach of Ctrl-C: an interrupted dpkg would have
# to be repaired by hand.  The caller's traps run when it has ended.
apt_quietly() {
	as_root setsid -w env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >>"$rf_apt_log" 2>&1 ||
		{ tail -n 30 "$rf_apt_log" >&2; rf_die "apt-get $1 failed"; }
}

package_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The version in PG_MAJOR, or one whose headers and server are here, or the
# one that the distribution calls its own.
choose_pg_major() {
	local major

	[ -z "${PG_MAJOR:-}" ] || return 0
	for major in 15 16 17 18; do
		if package_installed "postgresql-server-dev-$major" && package_installed "postgresql-$major"; then
			PG_MAJOR=$major
			return 0
		fi
	done
	PG_MAJOR=$(apt-cache depends postgresql 2>/dev/null |
		sed -n 's/^ *Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1) || PG_MAJOR=
}

list_missing_packages() {
	local package

	for package in "${rf_common_packages[@]}" ${PG_MAJOR:+"postgresql-$PG_MAJOR" \
		"postgresql-client-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR" \
		"postgresql-$PG_MAJOR-pgtap"}; do
		package_installed "$package" || printf '%s\n' "$package"
	done
	# For one test, which says that it skips without it.
	[ -z "$PG_MAJOR" ] || package_installed "postgresql-$PG_MAJOR-cron" ||
		! apt-cache show "postgresql-$PG_MAJOR-cron" >/dev/null 2>&1 ||
		printf '%s\n' "postgresql-$PG_MAJOR-cron"
	# Likewise.
	package_installed python3-psycopg2 || ! apt-cache show python3-psycopg2 >/dev/null 2>&1 ||
		printf 'python3-psycopg2\n'
	# The sanitizers of clang: a package of its own, only recommended.
	[ -n "$(ls -d /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a 2>/dev/null)" ] ||
		printf 'libclang-rt-dev\n'
}

# No service may start while packages are set up.
forbid_service_starts() {
	[ ! -e "$rf_policy_file" ] || return 0
	rf_policy_added=yes
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$rf_policy_file" >/dev/null
	as_root chmod 755 "$rf_policy_file"
}

# A server package that is new here would make a cluster named main.
forbid_main_cluster() {
	rf_conf_backup=$(mktemp)
	cp "$rf_createcluster_conf" "$rf_conf_backup"
	printf '\ncreate_main_cluster = false\n' | as_root tee -a "$rf_createcluster_conf" >/dev/null
}

restore_package_settings() {
	if [ -n "$rf_policy_added" ]; then
		as_root rm -f "$rf_policy_file"
		rf_policy_added=
	fi
	if [ -n "$rf_conf_backup" ]; then
		as_root tee "$rf_createcluster_conf" <"$rf_conf_backup" >/dev/null
		rm -f "$rf_conf_backup"
		rf_conf_backup=
	fi
	rm -f "$rf_apt_log"
}

# Runs in a subshell, so that its trap is nobody else's.
install_missing_packages() (
	missing=("$@")
	rf_apt_log=$(mktemp)
	trap restore_package_settings EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM

	forbid_service_starts
	if ! package_installed postgresql-common; then
		apt_quietly install -y --no-install-recommends --no-upgrade postgresql-common
	fi
	if ! package_installed "postgresql-$PG_MAJOR"; then
		forbid_main_cluster
	fi
	apt_quietly install -y --no-install-recommends --no-upgrade "${missing[@]}"
)

rf_install_packages() {
	local missing

	command -v apt-get >/dev/null ||
		rf_die "this command installs Debian packages, and there is no apt-get here"

	choose_pg_major
	mapfile -t missing < <(list_missing_packages)
	if [ -n "$PG_MAJOR" ] && [ "${#missing[@]}" -eq 0 ]; then
		return 0
	fi

	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
		rf_die "packages are missing (${missing[*]}): run this as root or install sudo"

	rf_apt_log=$(mktemp)
	apt_quietly update
	rm -f "$rf_apt_log"
	choose_pg_major
	[ -n "$PG_MAJOR" ] || rf_die "apt knows no postgresql package; set PG_MAJOR"
	mapfile -t missing < <(list_missing_packages)
	rf_say "Installing packages: ${missing[*]}"
	install_missing_packages "${missing[@]}"
}
