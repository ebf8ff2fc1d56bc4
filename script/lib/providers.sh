# shellcheck shell=bash
# Start the simulated providers, with the keys that their accounts need.
# Sourced inside a workspace (RF_WORKSPACE), never as root.
#
# Contract: the simulator's directory is $RF_WORKSPACE/providers, the keys' is
# $RF_WORKSPACE/secrets.  It ends with the workspace.

rf_providers=$RF_WORKSPACE/providers

rf_start_providers() {
	local tries

	mkdir -p "$rf_providers"
	setsid python3 test/simulator/simulator.py --directory "$rf_providers" --lifetime 86400 "$@" \
		>"$rf_providers/simulator.log" 2>&1 &
	for ((tries = 0; tries < 150; tries++)); do
		[ ! -e "$rf_providers/simulator.json" ] || return 0
		sleep 0.1
	done
	tail -n 20 "$rf_providers/simulator.log"
	return 1
}

# A value of simulator.json.
rf_published() {
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' \
		"$rf_providers/simulator.json" "$1"
}

rf_write_secrets() {
	(umask 077 && mkdir "$RF_WORKSPACE/secrets" &&
		printf 'SG.test-key' >"$RF_WORKSPACE/secrets/sendgrid" &&
		printf 'mg-test-key' >"$RF_WORKSPACE/secrets/mailgun" &&
		printf 'ap-test-key' >"$RF_WORKSPACE/secrets/apollo" &&
		printf 'private_test_key' >"$RF_WORKSPACE/secrets/neverbounce")
}

# What a server needs to know of them.
rf_provider_settings() {
	cat <<EOC
shared_preload_libraries = 'roleferry'
roleferry.databases = 'postgres'
roleferry.email_accounts = 'sendgrid, mailgun'
roleferry.secrets_directory = '$RF_WORKSPACE/secrets'
roleferry.ca_file = '$(rf_published ca)'
roleferry.allow_private_addresses = '127.0.0.0/8, ::1'
EOC
}
