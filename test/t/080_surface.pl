
# Copyright (c) 2026, roleferry authors

# Who may create objects in a database, or even owns it, cannot capture what
# roleferry does there: the extension refuses a schema that somebody prepared,
# operators, functions, types and tables with familiar names are never used, and
# settings of the database or of a role do not reach the dispatcher.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RoleferryNode;
use Test::More;

my ($node, $simulator) = RoleferryNode->start_pair('main');
my $superuser = $node->sql('SELECT current_user');

# Whatever a test below sets for the database: this session sees none of it.
my $calm = '-c search_path=pg_catalog';
$ENV{PGOPTIONS} = $calm;

$node->sql(
	q{
CREATE ROLE mallory LOGIN;
CREATE ROLE other_admin SUPERUSER LOGIN;
CREATE DATABASE squat;
GRANT CREATE ON DATABASE squat TO mallory;
});

# Runs statements in one session, each for itself; what was said to stderr.
sub try_in
{
	my ($database, @statements) = @_;
	my (undef, undef, $stderr) = $node->psql($database,
		"\\set VERBOSITY verbose\n"
		  . join(";\n", 'SET client_min_messages = error', @statements));

	return $stderr;
}

sub as
{
	my ($role, @statements) = @_;

	return ("SET ROLE $role", @statements, 'RESET ROLE');
}

#
# A schema that is there before the extension.
#

sub refused_like
{
	my ($what, $pattern, @statements) = @_;

	is(try_in('squat', @statements), '', "$what can be prepared");
	like(
		try_in('squat', 'CREATE EXTENSION roleferry'),
		qr/^.*ERROR:  42501: schema "roleferry" $pattern/,
		"$what is refused");
	is( $node->safe_psql(
			'squat', q{
SELECT (SELECT count(*) FROM pg_extension WHERE extname = 'roleferry')
	+ (SELECT count(*) FROM pg_foreign_data_wrapper)}),
		'0',
		"$what: nothing was installed");
	$node->safe_psql('squat', 'DROP SCHEMA roleferry CASCADE');
	return;
}

refused_like(
	'a schema of somebody else',
	qr/exists and belongs to a role that is no superuser/,
	as('mallory', 'CREATE SCHEMA roleferry'));
refused_like(
	'a schema of somebody else with an overload',
	qr/exists and belongs to a role that is no superuser/,
	as( 'mallory',
		'CREATE SCHEMA roleferry',
		q{CREATE FUNCTION roleferry.wake(integer DEFAULT 0) RETURNS integer LANGUAGE sql AS 'SELECT 1'}
	));
refused_like(
	'a superuser\'s schema in which somebody may create',
	qr/exists and others than its owner may create/,
	'CREATE SCHEMA roleferry',
	'GRANT CREATE ON SCHEMA roleferry TO mallory');
refused_like(
	'a superuser\'s schema in which everybody may create',
	qr/exists and others than its owner may create/,
	'CREATE SCHEMA roleferry',
	'GRANT CREATE ON SCHEMA roleferry TO PUBLIC');

# What somebody leaves behind in it, of each kind that has a schema.
my $sql_function =
  q{(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'};
my %leftover = (
	'a function' => ["CREATE FUNCTION roleferry.enqueue_email$sql_function"],
	'a procedure' =>
	  [q{CREATE PROCEDURE roleferry.activate() LANGUAGE sql AS ''}],
	'an aggregate' => [
		'CREATE AGGREGATE roleferry.count(text) (SFUNC = textcat, STYPE = text)'
	],
	'an operator' => [
		"CREATE FUNCTION public.same$sql_function",
		'CREATE OPERATOR roleferry.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.same)'
	],
	'an operator family' =>
	  [ 'RESET ROLE', 'CREATE OPERATOR FAMILY roleferry.ops USING btree' ],
	'a composite type' => ['CREATE TYPE roleferry.receipt AS (a integer)'],
	'an enum' => [q{CREATE TYPE roleferry.state AS ENUM ('sent')}],
	'a domain' => ['CREATE DOMAIN roleferry.text AS text'],
	'a range type' =>
	  ['CREATE TYPE roleferry.span AS RANGE (SUBTYPE = text)'],
	'a cast of a type' => [
		'CREATE TYPE roleferry.word AS (a text)',
		q{CREATE FUNCTION public.spell(roleferry.word) RETURNS text LANGUAGE sql AS 'SELECT $1.a'},
		'CREATE CAST (roleferry.word AS text) WITH FUNCTION public.spell(roleferry.word) AS IMPLICIT'
	],
	'a collation' => ['CREATE COLLATION roleferry."C" FROM pg_catalog."C"'],
	'a conversion' => [
		q{CREATE CONVERSION roleferry.c FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1}
	],
	'a table' => ['CREATE TABLE roleferry.outbox (a integer)'],
	'a view' => ['CREATE VIEW roleferry.jobs AS SELECT 1 AS a'],
	'a sequence' => ['CREATE SEQUENCE roleferry.outbox_id_seq'],
	'extended statistics' => [
		'CREATE TABLE public.t (a integer, b integer)',
		'CREATE STATISTICS roleferry.s ON a, b FROM public.t'
	],
	'a text search configuration' => [
		'CREATE TEXT SEARCH CONFIGURATION roleferry.c (COPY = pg_catalog.simple)'
	],
	'a text search dictionary' => [
		'CREATE TEXT SEARCH DICTIONARY roleferry.d (TEMPLATE = pg_catalog.simple)'
	],
	'default privileges' => [
		'ALTER DEFAULT PRIVILEGES IN SCHEMA roleferry GRANT EXECUTE ON FUNCTIONS TO PUBLIC'
	]);

$node->safe_psql('squat', 'GRANT CREATE ON SCHEMA public TO mallory');
foreach my $what (sort keys %leftover)
{
	refused_like(
		"$what in the schema",
		qr/is not empty/,
		'CREATE SCHEMA roleferry',
		'GRANT CREATE, USAGE ON SCHEMA roleferry TO mallory',
		as('mallory', @{ $leftover{$what} }),
		'REVOKE CREATE ON SCHEMA roleferry FROM mallory');
	$node->safe_psql(
		'squat',
		'SET client_min_messages = warning; DROP OWNED BY mallory CASCADE;
GRANT CREATE ON DATABASE squat TO mallory; GRANT CREATE ON SCHEMA public TO mallory'
	);
}

# What a dump and DROP EXTENSION leave behind: empty, a superuser's, some grants.
is( try_in(
		'squat',
		as('other_admin', 'CREATE SCHEMA roleferry'),
		'GRANT USAGE ON SCHEMA roleferry TO mallory',
		'CREATE EXTENSION roleferry',
		'DROP EXTENSION roleferry',
		'CREATE EXTENSION roleferry'),
	'',
	'an empty schema of another superuser is taken, and taken again');

#
# Traps: objects with familiar names, in schemas that come first.
#

$node->sql(
	q{
GRANT CREATE ON SCHEMA public TO mallory;
CREATE SCHEMA evil AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE ROLE clerk LOGIN;
});

# For each operator and function of pg_catalog that our SQL could mean, one with
# the same arguments in evil and in public that tells the server's log.
my $traps = q{
CREATE FUNCTION evil.spring(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'trap sprung: % as %', name, current_user;
END $$;
DO $do$
DECLARE
	f record;
	o record;
	place text;
BEGIN
	FOREACH place IN ARRAY ARRAY['evil', 'public'] LOOP
		FOR f IN
			SELECT p.oid, p.proname, pg_get_function_identity_arguments(p.oid) AS arguments,
				pg_get_function_result(p.oid) AS result, p.proretset
			FROM pg_proc p
			WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
				AND (p.proname = ANY ('{now,clock_timestamp,statement_timestamp,format,concat_ws,concat,unnest,
					has_table_privilege,current_setting,array_to_string,nextval,replace,pg_get_userbyid,
					pg_options_to_table,session_user,coalesce,lower,upper,length,array_length,cardinality,
					jsonb_build_object,jsonb_typeof,int8,int4,text,name,timestamptz,set_config,quote_ident}'))
		LOOP
			BEGIN
				EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$BEGIN PERFORM evil.spring(%L); RETURN%s; END$f$',
					place, f.proname, f.arguments, f.result, f.proname, CASE WHEN f.proretset THEN '' ELSE ' NULL' END);
			EXCEPTION WHEN feature_not_supported OR invalid_function_definition THEN
				NULL;
			END;
		END LOOP;
		FOR o IN
			SELECT p.oid, p.oprname, p.oprleft::regtype::text AS l, p.oprright::regtype::text AS r,
				p.oprresult::regtype::text AS result
			FROM pg_operator p
			WHERE p.oprnamespace = 'pg_catalog'::regnamespace AND p.oprleft <> 0
				AND p.oprname = ANY ('{=,<>,<,>,<=,>=,+,-,*,/,%,||,->,->>,?,@>}')
				AND p.oprleft = ANY ('{text,name,bigint,integer,smallint,oid,boolean,jsonb,interval,
					timestamptz,anyarray,anyelement,anycompatible,anynonarray,anycompatiblearray,record,regclass}'::regtype[])
		LOOP
			BEGIN
				EXECUTE format('CREATE FUNCTION %I.%I(%s, %s) RETURNS %s LANGUAGE plpgsql AS $f$BEGIN PERFORM evil.spring(%L); RETURN NULL; END$f$',
					place, 'op_' || o.oid, o.l, o.r, o.result, format('%s(%s,%s)', o.oprname, o.l, o.r));
				EXECUTE format('CREATE OPERATOR %I.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = %I.%I)',
					place, o.oprname, o.l, o.r, place, 'op_' || o.oid);
			EXCEPTION WHEN feature_not_supported OR invalid_function_definition THEN
				NULL;
			END;
		END LOOP;
	END LOOP;
END $do$;
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.spring('domain text') IS NOT NULL);
CREATE DOMAIN evil.name AS pg_catalog.name CHECK (evil.spring('domain name') IS NOT NULL);
CREATE DOMAIN evil.int8 AS pg_catalog.int8 CHECK (evil.spring('domain int8') IS NOT NULL);
CREATE DOMAIN evil.jsonb AS pg_catalog.jsonb CHECK (evil.spring('domain jsonb') IS NOT NULL);
CREATE DOMAIN evil.timestamptz AS pg_catalog.timestamptz CHECK (evil.spring('domain timestamptz') IS NOT NULL);
CREATE DOMAIN evil.interval AS pg_catalog.interval CHECK (evil.spring('domain interval') IS NOT NULL);
CREATE FUNCTION public.enqueue_email(text, text, text, text) RETURNS bigint LANGUAGE plpgsql AS
	$f$BEGIN PERFORM evil.spring('enqueue_email'); RETURN 0; END$f$;
};

# Tables of our names, too, each with a trap on whatever is written.
my @tables = split /\n/, $node->sql(
	q{
SELECT relname FROM pg_class WHERE relnamespace = 'roleferry'::regnamespace AND relkind IN ('r', 'v')}
);
my $decoys = join '', map { <<"EOC" } @tables;
CREATE TABLE %1\$s.$_ (LIKE roleferry.$_);
CREATE TRIGGER trap BEFORE INSERT OR UPDATE OR DELETE ON %1\$s.$_ FOR EACH STATEMENT EXECUTE FUNCTION evil.trap();
EOC
my $trap_trigger = q{
CREATE FUNCTION evil.trap() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	PERFORM evil.spring('table ' || TG_RELID::regclass::text);
	RETURN NULL;
END $$;
};
$node->sql("SET ROLE mallory; $traps $trap_trigger");
$node->sql(
	"GRANT SELECT ON ALL TABLES IN SCHEMA roleferry TO mallory; GRANT USAGE ON SCHEMA roleferry TO mallory;
SET ROLE mallory; " . sprintf($decoys, 'evil'));
$node->sql(
	'GRANT SELECT ON ALL TABLES IN SCHEMA evil TO PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA roleferry FROM mallory; REVOKE ALL ON SCHEMA roleferry FROM mallory'
);

my $log_start = -s $node->logfile;

sub sprung
{
	my $log = slurp_file($node->logfile, $log_start);

	return [ $log =~ /trap sprung: (.*)/g ];
}

# Statements with the traps first in the path; none may fail, and none spring.
sub unharmed
{
	my ($what, $role, @statements) = @_;
	my $said = try_in(
		'postgres',
		'SET search_path = evil, public, pg_catalog',
		"SET ROLE $role", @statements);

	is($said, '', "$what: nothing goes wrong");
	is_deeply(sprung(), [], "$what: no trap is sprung");
	$log_start = -s $node->logfile;
	return;
}

# Without this the rest would prove nothing.
try_in(
	'postgres',
	'SET search_path = evil, public, pg_catalog',
	q{SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text},
	'SELECT now()',
	q{DELETE FROM activation});
like(
	join("\n", @{ sprung() }),
	qr/^=\(text,text\) as.*^now as.*^table evil.activation as/ms,
	'the traps work');
$log_start = -s $node->logfile;

my $mail =
  q{from_addr => 'a@mg.example.com', to_addr => 'b@example.net', subject => 's', body_html => 'x'};
my $args =
  q{'{"from_addr": "a@mg.example.com", "to_addr": "b@example.net", "subject": "s", "body_html": "x"}'};
my @enqueue = (
	"SELECT roleferry.enqueue_email($mail, idempotency_key => 'k', tenant_key => 't')",
	"SELECT roleferry.enqueue_email($mail, idempotency_key => 'k')",
	"SELECT roleferry.enqueue_email($mail, cc => '{}', on_invalid => 'reject')",
	"SELECT roleferry.enqueue_email($mail, tags => '{\"\"}', on_invalid => 'reject')",
	"INSERT INTO roleferry.outbox (task, args, idempotency_key) VALUES ('send_email', $args, 'l')",
	"INSERT INTO roleferry.outbox (task, args, idempotency_key) VALUES ('send_email', $args, 'l')"
);
my @ask = (
	'SELECT * FROM roleferry.jobs',
	'SELECT * FROM roleferry.messages',
	'SELECT * FROM roleferry.dead_letters',
	'SELECT r.* FROM roleferry.jobs j CROSS JOIN LATERAL roleferry.job_report(j.id) r'
);

# Something of everything to look at: sent, failed, unknown, and the retries of each.
$simulator->rule(
	{
		name => 'doubt',
		match => { subject => '^doubt' },
		action => { status => 502 }
	});
$simulator->rule(
	{
		name => 'no',
		match => { subject => '^no' },
		action => { status => 400 }
	});
$node->enqueue(2, subject => 'doubt');
$node->enqueue(2, subject => 'no');
$node->enqueue(2, subject => 'yes');
$node->wait_drained(30);
my ($doubt, $other_doubt) = split /\n/,
  $node->sql(
	q{SELECT job_id FROM roleferry.dead_letter WHERE state = 'unknown' ORDER BY 1}
  );

# What is asked as the owner: of a job with an order_key, one that is replaced, tells of its end, or is kept back.
$node->sql(q{
CREATE FUNCTION public.quiet(args jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
SELECT roleferry.register_task('quiet.task', 'public.quiet(jsonb)', timeout => '1 min', max_attempts => 3);
CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo');
GRANT USAGE ON FOREIGN SERVER apollo TO app;
INSERT INTO roleferry.queue (name, max_depth) VALUES ('shallow', 1000);
INSERT INTO roleferry.retry_policy (task, outcome, max_attempts) VALUES ('send_email', 'transient', 5)});
my @owner = (
	"SELECT * FROM roleferry.explain_email($mail)",
	"SELECT * FROM roleferry.explain('quiet.task', '{}')",
	"SELECT roleferry.enqueue_email($mail, order_key => 'o', queue => 'shallow', run_at => '2100-01-01', idempotency_key => 'r', on_conflict => 'replace', on_done => 'quiet.task')",
	"SELECT roleferry.enqueue_email($mail, order_key => 'o', queue => 'shallow', run_at => '2100-01-02', idempotency_key => 'r', on_conflict => 'replace', on_done => 'quiet.task')",
	"SELECT roleferry.enqueue_email($mail, order_key => 'o', run_at => '2100-01-01', idempotency_key => 'r2')",
	"DO \$\$ BEGIN PERFORM roleferry.cancel(roleferry.enqueue_email($mail, order_key => 'o', run_at => '2100-01-01', idempotency_key => 'r2')); END \$\$",
	"SELECT * FROM roleferry.run_due('shallow', 1)",
	q{SELECT roleferry.enqueue_apollo_search(domain => 'acme.com', titles => '{CTO}', run_at => '2100-01-01')},
	'SET roleferry.mode = capture',
	"SELECT roleferry.enqueue_email($mail)",
	'SELECT * FROM roleferry.captured()'
);

unharmed('a sender', 'app', @enqueue, @ask);
unharmed('a sender of more', 'app', @owner);
$node->sql('DROP SERVER apollo');
unharmed(
	'a grant',
	$superuser,
	q{SELECT roleferry.grant_access('clerk', 'operator')},
	q{SELECT roleferry.revoke_access('clerk')},
	q{SELECT roleferry.grant_access('clerk', 'operator')},
	'SELECT * FROM roleferry.access_matrix()');
unharmed(
	'an operator',
	'clerk',
	@ask,
	'SELECT * FROM roleferry.attempts',
	'SELECT * FROM roleferry.accounts',
	'SELECT * FROM roleferry.account_gates()',
	q{SELECT roleferry.account_provider('sendgrid')},
	"SELECT roleferry.settle($doubt, 'sent')",
	"SELECT roleferry.settle($other_doubt, 'not_sent', 'looked')",
	'SELECT roleferry.deactivate()',
	'SELECT roleferry.activate()',
	'SELECT roleferry.wake()',
	q{SELECT roleferry.activate('hold')},
	q{SELECT roleferry.activate('send')},
	q{SELECT roleferry.activate('discard')});
unharmed(
	'an account',
	$superuser,
	q{CREATE SERVER third FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'mailgun', domain 'mg.example.com', secret 'mailgun')},
	q{ALTER SERVER third OPTIONS (ADD max_in_flight '4')},
	'DROP SERVER third');
is( $node->sql(
		q{SELECT string_agg(state, ' ' ORDER BY job_id) FROM (SELECT job_id, 'sent' AS state FROM roleferry.message
	UNION ALL SELECT job_id, state FROM roleferry.dead_letter) j WHERE job_id IN (}
		  . "$doubt, $other_doubt)"),
	'sent failed',
	'an operator did what he was asked to');
$node->disown($doubt);

# A sender's own temporary objects come first of all, wherever the path may stand.
{
	my $temporary = sprintf($decoys, 'pg_temp');

	$temporary =~ s/LIKE roleferry\.(\w+)/"LIKE evil.$1"/ge;
	unharmed(
		'a session with temporary tables of our names',
		'app',
		split(/;\n/, $temporary),
		'CREATE DOMAIN pg_temp.text AS pg_catalog.text',
		'CREATE DOMAIN pg_temp.int8 AS pg_catalog.int8',
		'SET search_path = pg_temp, evil, public, pg_catalog',
		(map { s/'k'/'m'/r =~ s/'l'/'n'/r } @enqueue),
		@ask);
}

# A careless superuser lets somebody create in the schema itself.
sub overload
{
	return 'SET ROLE mallory; ' . join ';', map {
		"CREATE FUNCTION roleferry.$_ LANGUAGE plpgsql AS \$f\$BEGIN PERFORM evil.spring('overload'); RETURN NULL; END\$f\$"
	} @_;
}

$node->sql('GRANT CREATE, USAGE ON SCHEMA roleferry TO mallory');
$node->sql(
	overload(
		'wake(integer) RETURNS integer',
		'server_identity(integer) RETURNS integer',
		'account_gates(integer) RETURNS integer',
		'account_provider(name) RETURNS text',
		'access_matrix(integer) RETURNS integer',
		'job_lines(name, text) RETURNS integer',
		'job_lines(bigint, name) RETURNS integer',
		'now() RETURNS timestamptz',
		'format(text, text) RETURNS text',
		'format(text, text, bigint, text) RETURNS text',
		'has_table_privilege(text, text) RETURNS boolean'));
$node->sql(
	'SET ROLE mallory; CREATE OPERATOR roleferry.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.op_98);
CREATE OPERATOR roleferry.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = evil.op_3477)'
);
unharmed('overloads in our schema: a sender',
	'app', @ask, map { s/'k'/'o'/r =~ s/'l'/'p'/r } @enqueue);
unharmed(
	'overloads in our schema: an operator',
	'clerk',
	@ask,
	'SELECT * FROM roleferry.accounts',
	'SELECT roleferry.deactivate()',
	'SELECT roleferry.activate()',
	q{SELECT roleferry.activate('send')});

# Where an overload makes a name or a call ambiguous, that is an error, and no trap.
like(
	try_in('postgres', q{SELECT roleferry.grant_access('clerk', 'reader')}),
	qr/42725: function name "roleferry.account_gates" is not unique/,
	'an ambiguous name is an error');
$node->sql(overload('wake(integer DEFAULT 0) RETURNS integer') =~
	  s/CREATE/CREATE OR REPLACE/r);
like(
	try_in('postgres', as('clerk', 'SELECT roleferry.deactivate()')),
	qr/42725: function roleferry.wake\(\) is not unique/,
	'an ambiguous call is an error');
is_deeply(sprung(), [], 'and neither is a trap');
$node->sql('REVOKE ALL ON SCHEMA roleferry FROM mallory');

#
# Who asks is who runs the statement, not who opened the session.
#

$node->sql(
	q{
SELECT roleferry.grant_access('mallory', 'sender');
GRANT USAGE ON FOREIGN SERVER sendgrid TO mallory;
});
my ($secret_job) = $node->enqueue(1, subject => 'not for mallory');
$node->wait_drained(30);
my $lines =
  "SELECT pg_catalog.count(*) > 0 FROM roleferry.job_report($secret_job)";

is($node->sql("SET ROLE mallory; $lines"),
	'f', 'a role sees no report of another\'s job');
is($node->sql("SET ROLE app; $lines"), 't', 'and its own');
is($node->sql("SET SESSION AUTHORIZATION mallory; $lines"),
	'f', 'nor with another session authorization');
is($node->sql("SET SESSION AUTHORIZATION app; $lines"), 't', 'but its own');
$node->sql(
	qq{
CREATE FUNCTION public.for_mallory() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS '$lines';
ALTER FUNCTION public.for_mallory() OWNER TO mallory;
CREATE FUNCTION public.for_clerk() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS '$lines';
ALTER FUNCTION public.for_clerk() OWNER TO clerk;
});
is($node->sql('SELECT public.for_mallory()'), 'f',
	'mallory\'s function sees what mallory may, also when a superuser calls it'
);
is($node->sql('SET ROLE clerk; SELECT public.for_mallory()'),
	'f', 'or when an operator does');
is($node->sql('SET ROLE mallory; SELECT public.for_clerk()'),
	't', 'an operator\'s function may tell others');

# Maintenance by a superuser runs index functions as the table's owner.
$node->sql(
	qq{
SET ROLE mallory;
CREATE TABLE public.bait (a integer);
CREATE TABLE public.loot (who text, lines boolean, jobs bigint);
CREATE FUNCTION public.loot() RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	INSERT INTO public.loot SELECT session_user, ($lines), (SELECT pg_catalog.count(*) FROM roleferry.jobs);
END \$\$;
CREATE FUNCTION public.steal(a integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS \$\$
BEGIN
	PERFORM public.loot();
	RETURN a;
END \$\$;
INSERT INTO public.bait VALUES (1);
CREATE INDEX bait_idx ON public.bait (public.steal(a));
});
$node->sql('REINDEX TABLE public.bait');
$node->sql('ANALYZE public.bait');
is( $node->sql(
		'SELECT count(*) > 1, bool_or(lines), max(jobs) FROM public.loot'),
	't|f|0',
	'a superuser\'s REINDEX and ANALYZE tell the index function\'s owner nothing'
);

# A function that is cheap to the planner sees no row that its caller may not see.
$node->sql(
	q{
SET ROLE mallory;
CREATE TABLE public.seen (what text);
CREATE FUNCTION public.peek(what text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
	INSERT INTO public.seen VALUES (what);
	RETURN true;
END $$;
});
$node->sql(
	"SET ROLE mallory; SELECT count(*) FROM roleferry.$_ v WHERE public.peek('$_ ' || v::text) AND public.peek(v.role)"
) for qw(jobs messages dead_letters);
is($node->sql('SELECT count(*) FROM public.seen'),
	'0', 'no filter gets behind the views');
is( $node->sql(
		"SET ROLE app; SELECT count(*) > 0 FROM roleferry.messages v WHERE v.role = 'app'"
	),
	't',
	'which have rows for others');

#
# Settings of the database and of the superuser reach the dispatcher's session,
# and change nothing there.
#

my $major = $node->sql('SHOW server_version_num') =~ s/0*\d{2}$//r;

# Minor versions of older ones have it, too.
my $restricts = $node->sql(
	q{SELECT current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL}) eq 't';
my %hostile = (
	search_path => 'evil, public, pg_catalog',
	role => 'mallory',
	session_authorization => 'mallory',
	default_transaction_read_only => 'on',
	default_transaction_isolation => 'serializable',
	default_transaction_deferrable => 'on',
	session_replication_role => 'replica',
	row_security => 'on',
	statement_timeout => '1',
	lock_timeout => '1',
	idle_in_transaction_session_timeout => '1',
	idle_session_timeout => '1',
	synchronous_commit => 'off',
	plan_cache_mode => 'force_custom_plan',
	enable_indexscan => 'off',
	enable_indexonlyscan => 'off',
	enable_nestloop => 'off',
	exit_on_error => 'on',
	standard_conforming_strings => 'off',
	backslash_quote => 'off',
	transform_null_equals => 'on',
	array_nulls => 'off',
	datestyle => 'SQL, DMY',
	intervalstyle => 'sql_standard',
	timezone => 'Pacific/Apia',
	bytea_output => 'escape',
	client_encoding => 'LATIN1',
	client_min_messages => 'error',
	work_mem => '64',
	jit => 'on',
	jit_above_cost => '0',
	check_function_bodies => 'off',
	quote_all_identifiers => 'on',
	lo_compat_privileges => 'on',
	default_tablespace => 'pg_default',
	default_table_access_method => 'heap',
	vacuum_freeze_min_age => '0',
	(   $major >= 16 ? (debug_parallel_query => 'on')
		: (force_parallel_mode => 'on')),
	($major >= 17 ? (transaction_timeout => '1') : ()),
	($restricts ? (restrict_nonsystem_relation_kind => 'view, foreign-table') : ()));

# Each in the order of its name: "role" last but few, so that it forbids nothing.
sub set_all
{
	my ($whose) = @_;

	return join ";\n", map {
		"ALTER $whose SET $_ = $hostile{$_}" =~
		  s/= (.*)$/index($_, 'path') >= 0 ? "= $1" : "= '$1'"/er
	  }
	  sort keys %hostile;
}

# A client's own options overrule all of these.
sub with_calm
{
	my ($code) = @_;
	local $ENV{PGOPTIONS} = join ' ', $calm,
	  map { "-c $_" }
	  qw(role=none session_authorization=SUPERUSER PARALLEL=off default_transaction_read_only=off
	  default_transaction_isolation=read\\ committed session_replication_role=origin statement_timeout=0 lock_timeout=0
	  idle_in_transaction_session_timeout=0 idle_session_timeout=0 exit_on_error=off datestyle=ISO client_encoding=UTF8
	  default_transaction_deferrable=off),
	  ($major >= 17 ? 'transaction_timeout=0' : ()),
	  ($restricts ? 'restrict_nonsystem_relation_kind=' : ());

	$ENV{PGOPTIONS} =~ s/-c (committed)/$1/;
	$ENV{PGOPTIONS} =~ s/SUPERUSER/$superuser/;
	$ENV{PGOPTIONS} =~
	  s/PARALLEL/$major >= 16 ? 'debug_parallel_query' : 'force_parallel_mode'/e;
	return $code->();
}

foreach my $whose ('DATABASE postgres', "ROLE \"$superuser\"", 'ROLE ALL')
{
	with_calm(
		sub {
			my $before = $node->dispatcher_pid;

			$node->sql(set_all($whose));
			$log_start = -s $node->logfile;
			$node->sql("SELECT pg_terminate_backend($before)");
			ok( $node->wait_dispatcher(30, $before),
				"settings of $whose: a dispatcher starts");

			my @ids = $node->enqueue(20);
			my ($doubtful) = $node->enqueue(1, subject => 'doubt');
			my ($refused) = $node->enqueue(1, subject => 'no');
			$node->sql(
				qq{
SET session_replication_role = replica;
INSERT INTO roleferry.outbox (task, role, args) VALUES ('send_email', 'app', $args), ('send_email', 'app', '[]')}
			);
			$node->wait_drained(30);
			is( $node->sql(
					"SELECT string_agg(DISTINCT state, ' ') FROM roleferry.jobs WHERE id IN (@{[ join ',', @ids ]})"
				),
				'sent',
				"settings of $whose: mails are sent");
			is( $node->sql(
					"SELECT string_agg(state, ' ' ORDER BY id) FROM roleferry.jobs WHERE id IN ($doubtful, $refused)"
				),
				'unknown failed',
				"settings of $whose: other outcomes are written");
			is( $node->sql(
					"SELECT string_agg(state, ' ' ORDER BY id) FROM roleferry.jobs WHERE id > $refused"
				),
				'sent failed',
				"settings of $whose: rows that no trigger checked are checked"
			);
			is_deeply(sprung(), [], "settings of $whose: no trap is sprung");
			unlike(
				slurp_file($node->logfile, $log_start),
				qr/dispatcher failed while|exited with exit code (?!1\))/,
				"settings of $whose: nothing failed");
			$node->sql("ALTER $whose RESET ALL");
		});
}

$node->assert_invariants(
	'nothing is lost, sent twice or sent without a commit');

$node->stop;
done_testing();
