-- The SQL interface is what README.md says, every object says what it is, and
-- nobody has been granted anything.
\unset ECHO
\set QUIET 1
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true
\pset format unaligned
\pset tuples_only true
\pset pager off

BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS roleferry;

SELECT plan(30);

--
-- Functions
--
CREATE TEMP VIEW functions AS
SELECT p.oid, p.proname::text COLLATE "default" AS name,
       coalesce(replace(pg_get_function_identity_arguments(p.oid), 'timestamp with time zone', 'timestamptz'), '') AS arguments,
       replace(pg_get_function_result(p.oid), 'timestamp with time zone', 'timestamptz') AS result,
       CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
       p.proisstrict AS strict, p.proparallel, p.prosecdef, p.proconfig, p.proacl, p.proowner
  FROM pg_proc p
 WHERE p.pronamespace = 'roleferry'::regnamespace;

SELECT results_eq(
	'SELECT name, arguments, result FROM functions ORDER BY name COLLATE "C"',
	$$ VALUES
	('access_matrix', 'OUT access text, OUT command text', 'SETOF record'),
	('account_gates', 'OUT account text, OUT state text, OUT reason text, OUT until timestamptz', 'SETOF record'),
	('account_provider', 'account text', 'text'),
	('account_row_server', '', 'trigger'),
	('account_statistics', 'OUT account text, OUT provider text, OUT calls bigint, OUT ok bigint, OUT miss bigint, OUT pending bigint, '
		'OUT throttled bigint, OUT transient bigint, OUT ambiguous bigint, OUT quota bigint, OUT credential bigint, OUT config bigint, '
		'OUT permanent bigint, OUT malformed bigint, OUT sent_bytes bigint, OUT received_bytes bigint, OUT reused_connections bigint, '
		'OUT mean_ms double precision, OUT p50_ms double precision, OUT p95_ms double precision, OUT p99_ms double precision, '
		'OUT failed_at timestamptz, OUT failed_class text, OUT failed_reason text, OUT since timestamptz', 'SETOF record'),
	('activate', 'waiting text', 'text'),
	('activation_state', 'OUT state text, OUT reason text', 'record'),
	('address_key', 'address text', 'bytea'),
	('advance', 'object text, occurred_at timestamptz, rank integer', 'boolean'),
	('apollo_search', 'domain text, titles text[], seniorities text[], locations text[], max_results integer, '
		'enrich boolean, max_credits integer, account text, timeout interval, wait boolean', 'SETOF roleferry.person'),
	('cancel', 'job_id bigint', 'boolean'),
	('captured', 'OUT job_id bigint, OUT enqueued_at timestamptz, OUT task text, OUT args jsonb, OUT account text, OUT request jsonb, OUT problem text', 'SETOF record'),
	('check_scope', 'scope text', 'text'),
	('circuit_states', 'OUT account text, OUT state text, OUT calls integer, OUT failures integer, OUT failures_in_row integer', 'SETOF record'),
	('deactivate', '', 'text'),
	('dead_letter_on_done', '', 'trigger'),
	('default_limits', 'OUT id bigint, OUT server oid, OUT peers oid[], OUT account text, OUT endpoint text, '
		'OUT max_requests integer, OUT per interval', 'SETOF record'),
	('doctor', 'OUT severity text, OUT finding text, OUT what_to_do text', 'SETOF record'),
	('drain_queue', 'name text, timeout interval', 'boolean'),
	('due_jobs', 'queue text, max_jobs integer, asker text', 'TABLE(id bigint, attempts integer)'),
	('end_account_pause', 'account text', 'boolean'),
	('enqueue', 'task text, args jsonb, idempotency_key text, run_at timestamptz, priority integer, queue text, '
		'expires_at timestamptz, max_attempts integer, order_key text, tenant_key text, delivery text, on_invalid text, on_conflict text, on_done text', 'bigint'),
	('enqueue_apollo_search', 'domain text, titles text[], seniorities text[], locations text[], max_results integer, enrich boolean, '
		'max_credits integer, account text, idempotency_key text, run_at timestamptz, priority integer, queue text, '
		'expires_at timestamptz, max_attempts integer, order_key text, tenant_key text, on_conflict text, on_done text', 'bigint'),
	('enqueue_email', 'from_addr text, to_addr text, subject text, body_html text, reply_to text, custom_args jsonb, '
		'body_text text, cc text[], bcc text[], headers jsonb, tags text[], accounts text[], idempotency_key text, '
		'delivery text, provider_options jsonb, run_at timestamptz, priority integer, queue text, expires_at timestamptz, '
		'max_attempts integer, order_key text, tenant_key text, on_invalid text, stream text, on_conflict text, unsubscribe boolean, on_done text', 'bigint'),
	('enqueue_verify_emails', 'emails text[], account text, max_age interval, idempotency_key text, run_at timestamptz, '
		'priority integer, queue text, expires_at timestamptz, max_attempts integer, tenant_key text, on_conflict text, on_done text', 'bigint'),
	('explain', 'task text, args jsonb, OUT item text, OUT name text, OUT verdict text, OUT reason text, OUT until timestamptz, OUT request jsonb', 'SETOF record'),
	('explain_email', 'from_addr text, to_addr text, subject text, body_html text, reply_to text, custom_args jsonb, '
		'body_text text, cc text[], bcc text[], headers jsonb, tags text[], accounts text[], idempotency_key text, '
		'delivery text, provider_options jsonb, run_at timestamptz, priority integer, queue text, expires_at timestamptz, '
		'max_attempts integer, order_key text, tenant_key text, on_invalid text, stream text, on_conflict text, unsubscribe boolean, on_done text, '
		'OUT item text, OUT name text, OUT verdict text, OUT reason text, OUT until timestamptz, OUT request jsonb', 'SETOF record'),
	('fdw_validator', 'options text[], catalog oid', 'void'),
	('fold_address', 'address text', 'text'),
	('force_circuit', 'account text, state text, reason text, until timestamptz', 'void'),
	('forget', 'address text', 'bigint'),
	('grant_access', 'grantee regrole, access text', 'void'),
	('healthy', 'OUT healthy boolean, OUT reason text', 'record'),
	('html_text', 'text text', 'text'),
	('job_again', 'job_id bigint, asker text, unknown boolean, action text', 'void'),
	('job_cancel', 'job_id bigint, asker text', 'boolean'),
	('job_lines', 'job_id bigint, asker text', 'TABLE(at timestamptz, event text, account text, http_status integer, outcome text, detail text)'),
	('job_outcome', 'job_id bigint, asker text', 'TABLE(task text, state text, result jsonb, reason text, attempts integer, finished_at timestamptz, inserted_by xid)'),
	('job_report', 'job_id bigint', 'TABLE(at timestamptz, event text, account text, http_status integer, outcome text, detail text)'),
	('job_statistics', 'OUT sent bigint, OUT done bigint, OUT failed bigint, OUT unknown bigint, OUT retried bigint, OUT other bigint', 'record'),
	('library_version', '', 'text'),
	('make_suppression_key', '', 'void'),
	('metrics', '', 'text'),
	('on_done_tell', 'on_done text, role text, tenant_key text, job_id bigint, task text, status text, provider text, '
		'message_id text, reason text, http_status integer, idempotency_key text', 'text'),
	('outbox_check', '', 'trigger'),
	('pause_account', 'account text, reason text, until timestamptz', 'void'),
	('pause_all', 'reason text, until timestamptz', 'void'),
	('pause_queue', 'name text, reason text, until timestamptz', 'void'),
	('pauses_known', '', 'boolean'),
	('queue_replace', '', 'trigger'),
	('queue_statistics', 'OUT queue text, OUT ready bigint, OUT scheduled bigint, OUT estimated boolean, OUT oldest timestamptz, '
		'OUT counted_at timestamptz, OUT running integer, OUT sent bigint, OUT done bigint, OUT failed bigint, OUT unknown bigint, '
		'OUT retried bigint, OUT other bigint, OUT ended_per_second double precision, OUT failed_per_second double precision', 'SETOF record'),
	('queues_changed', '', 'trigger'),
	('rate_limit_account', '', 'trigger'),
	('rate_limit_check', '', 'trigger'),
	('rate_windows', 'OUT limit_id bigint, OUT used integer, OUT remaining integer, OUT next_at timestamptz', 'SETOF record'),
	('redrive', 'task text, state text, reason text, role text, since timestamptz, max_jobs integer, dry_run boolean, unknown boolean', 
		'TABLE(job_id bigint, job_task text, job_reason text, problem text)'),
	('register_task', 'name text, function regprocedure, run_as regrole, timeout interval, max_attempts integer, '
		'retry_base interval, retry_cap interval, give_up_on text[], batch boolean', 'void'),
	('report', 'hours integer', 'text'),
	('report_bars', 'title text, begins timestamptz, step interval, counts bigint[]', 'text'),
	('report_table', 'title text, head text[], body text[]', 'text'),
	('requests_under_way', 'OUT job_id bigint, OUT task text, OUT account text, OUT attempt integer, OUT phase text, OUT age interval, '
		'OUT reused_connection boolean, OUT awaited boolean', 'SETOF record'),
	('result', 'job_id bigint', 'jsonb'),
	('resume_account', 'account text', 'boolean'),
	('resume_all', '', 'boolean'),
	('resume_queue', 'name text', 'boolean'),
	('retry', 'job_id bigint, unknown boolean', 'void'),
	('revoke_access', 'grantee regrole', 'void'),
	('rules_changed', '', 'trigger'),
	('run_due', 'queue text, max_jobs integer, timeout interval', 'SETOF roleferry.job_result'),
	('send_email', 'from_addr text, to_addr text, subject text, body_html text, reply_to text, custom_args jsonb, '
		'body_text text, cc text[], bcc text[], headers jsonb, tags text[], accounts text[], idempotency_key text, '
		'delivery text, provider_options jsonb, timeout interval, stream text, unsubscribe boolean', 'SETOF roleferry.email_receipt'),
	('server_identity', 'OUT system_identifier bigint, OUT database_oid oid, OUT timeline integer, OUT installation text', 'record'),
	('server_mode', '', 'text'),
	('set_pause', 'kind text, name text, server oid, reason text, until timestamptz', 'void'),
	('settle', 'job_id bigint, verdict text, note text', 'text'),
	('stat_reset', 'account text', 'void'),
	('suppress', 'address text, reason text, scope text, note text', 'boolean'),
	('unregister_task', 'name text', 'boolean'),
	('unsubscribe', 'token text', 'boolean'),
	('unsuppress', 'address text, scope text', 'bigint'),
	('verify_emails', 'emails text[], account text, timeout interval, max_age interval', 'SETOF roleferry.email_verdict'),
	('verify_signature', 'scheme text, keys text[], headers jsonb, body bytea, tolerance interval, at timestamptz', 'boolean'),
	('wait_for', 'job_id bigint, timeout interval', 'SETOF roleferry.job_result'),
	('wake', '', 'void'),
	('webhook_handler_check', '', 'trigger'),
	('webhook_receive', 'source text, headers jsonb, body bytea', 'SETOF roleferry.webhook_outcome'),
	('webhook_receive_json', 'source text, headers jsonb, body json', 'SETOF roleferry.webhook_outcome'),
	('webhook_rejected', 'OUT at timestamptz, OUT source text, OUT http_status integer, OUT reason text, OUT body_bytes bigint, '
		'OUT hint text, OUT number bigint', 'SETOF record'),
	('webhook_replay', 'source text, status text, type text, since timestamptz, max_events integer, dry_run boolean', 'SETOF roleferry.webhook_outcome'),
	('webhook_retry', 'max_events integer', 'SETOF roleferry.webhook_outcome'),
	('worker_statistics', 'OUT kind text, OUT pid integer, OUT database oid, OUT role oid, OUT state text, OUT since timestamptz, '
		'OUT in_flight integer, OUT turns bigint, OUT heartbeat timestamptz, OUT private_bytes bigint', 'SETOF record') $$,
	'these are the functions, their arguments and results');
SELECT results_eq(
	$$ SELECT name FROM functions WHERE strict ORDER BY name COLLATE "C" $$,
	$$ VALUES ('account_provider'), ('address_key'), ('cancel'), ('explain'), ('fdw_validator'), ('fold_address'), ('html_text'), ('job_again'), ('job_cancel'), ('job_lines'), ('job_outcome'), ('job_report'), ('report_bars'), ('result'), ('retry'), ('revoke_access'), ('unregister_task') $$,
	'a NULL is an answer only where nothing else could be one');
SELECT results_eq(
	$$ SELECT name, volatility FROM functions WHERE volatility <> 'volatile' ORDER BY name COLLATE "C" $$,
	$$ VALUES ('access_matrix', 'stable'), ('account_provider', 'stable'), ('check_scope', 'immutable'), ('default_limits', 'stable'), ('fold_address', 'immutable'), ('html_text', 'immutable'), ('job_lines', 'stable'), ('job_outcome', 'stable'), ('job_report', 'stable'), ('report', 'stable'), ('report_bars', 'stable'), ('report_table', 'immutable'), ('result', 'stable'), ('verify_signature', 'stable') $$,
	'functions that only read are stable, the others volatile');
SELECT results_eq(
	$$ SELECT name FROM functions WHERE proparallel = 's' ORDER BY name COLLATE "C" $$,
	$$ VALUES ('access_matrix'), ('account_provider'), ('default_limits'), ('fdw_validator'), ('fold_address'), ('html_text'), ('library_version'), ('report_bars'), ('report_table'), ('server_identity'), ('verify_signature') $$,
	'only functions that touch neither jobs nor shared memory may run in parallel workers');
SELECT results_eq(
	$$ SELECT name FROM functions WHERE prosecdef ORDER BY name COLLATE "C" $$,
	$$ VALUES ('activate'), ('activation_state'), ('deactivate'), ('doctor'), ('drain_queue'), ('end_account_pause'), ('force_circuit'), ('forget'), ('healthy'), ('pause_account'), ('pause_all'), ('pause_queue'), ('queue_replace'), ('redrive'), ('resume_account'), ('resume_all'), ('resume_queue'), ('settle'), ('suppress'), ('unsuppress') $$,
	'these functions run with the rights of their owner');
SELECT is_empty(
	$$ SELECT name FROM functions WHERE prosecdef AND proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp'] $$,
	'and each of these pins its search path');
SELECT bag_eq(
	$$ SELECT p.proargnames[n] COLLATE "default", pg_get_function_arg_default(p.oid, n)
	     FROM pg_proc p, generate_series(1, p.pronargs) n
	    WHERE p.pronamespace = 'roleferry'::regnamespace
	      AND pg_get_function_arg_default(p.oid, n) IS NOT NULL
	      AND pg_get_function_arg_default(p.oid, n) NOT LIKE 'NULL::%' $$,
	$$ VALUES ('on_invalid', '''error''::text'), ('on_invalid', '''error''::text'), ('on_invalid', '''error''::text'), ('unknown', 'false'), ('unknown', 'false'),
	          ('state', '''failed''::text'), ('max_jobs', '1000'), ('max_jobs', '100'), ('dry_run', 'false'),
	          ('reason', '''manual''::text'), ('scope', '''global''::text') $$,
	'these defaults are other than NULL');
SELECT results_eq(
	$$ SELECT proname::text COLLATE "default", (pronargs - pronargdefaults)::integer FROM pg_proc
	    WHERE pronamespace = 'roleferry'::regnamespace AND pronargdefaults > 0 ORDER BY proname $$,
	$$ VALUES ('activate', 0), ('advance', 2), ('apollo_search', 1), ('drain_queue', 1), ('enqueue', 1), ('enqueue_apollo_search', 1), ('enqueue_email', 3), ('enqueue_verify_emails', 1), ('explain_email', 3), ('force_circuit', 2), ('pause_account', 1), ('pause_all', 0), ('pause_queue', 1), ('redrive', 0), ('register_task', 2), ('report', 0), ('retry', 1), ('run_due', 0), ('send_email', 3), ('settle', 2), ('stat_reset', 0), ('suppress', 1), ('unsuppress', 1), ('verify_emails', 1), ('verify_signature', 4), ('wait_for', 1), ('webhook_replay', 0), ('webhook_retry', 0) $$,
	'from_addr, to_addr and subject are all that enqueue_email and send_email demand');

--
-- Tables and views
--
CREATE TEMP VIEW relations AS
SELECT c.oid, c.relname::text COLLATE "default" AS name, c.relkind,
       (SELECT string_agg(a.attname COLLATE "default", ' ' ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM pg_class c
 WHERE c.relnamespace = 'roleferry'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f');

SELECT results_eq(
	$$ SELECT name, columns FROM relations WHERE relkind = 'r' ORDER BY name COLLATE "C" $$,
	$$ VALUES
	('account_stop', 'account server kind reason until stopped_at'),
	('activation', 'one system_identifier database_oid timeline installation active activated_at activated_by'),
	('attempt_0', 'job_id attempt started_at took http_status account outcome verdict reason excerpt error'),
	('attempt_1', 'job_id attempt started_at took http_status account outcome verdict reason excerpt error'),
	('attempt_2', 'job_id attempt started_at took http_status account outcome verdict reason excerpt error'),
	('attempt_kept', 'job_id attempt started_at took http_status account outcome verdict reason excerpt error'),
	('batch', 'id created_at finished_at page items_total items_done single step task account installation provider_job_id '
		'reason jobs items'),
	('circuit_event', 'at account from_state to_state reason'),
	('credit_use', 'at server account endpoint job_id credits'),
	('dead_letter', 'job_id created_at finished_at http_status attempts failures max_attempts priority state outcome reason '
		'account task role queue tenant_key order_key idempotency_key delivery accounts excerpt note args error mode on_done on_done_state'),
	('email_verdict_cache', 'email checked_at status provider raw suggestion flags'),
	('forced_circuit', 'account server state reason until set_at set_by'),
	('idempotency', 'role key job_id created_at kept_from renewed digest'),
	('job_action', 'at job_id action role from_state'),
	('message', 'job_id created_at sent_at http_status attempts account provider message_id raw_message_id role queue '
		'tenant_key from_addr to_addr subject note'),
	('message_life', 'job_id last_event_at accepted_at deferred_at delivered_at bounced_at rejected_at opened_at clicked_at '
		'complained_at unsubscribed_at deferrals opens clicks hard reason taken_off'),
	('outbox', 'id lane run_at created_at claimed_at expires_at worker attempts failures max_attempts priority crashes '
		'delivery task role queue tenant_key order_key idempotency_key on_done accounts args mode'),
	('pause', 'kind name server reason until set_at set_by'),
	('person_cache', 'provider person_id email fetched_at person'),
	('queue', 'name max_priority concurrency max_depth on_full ready_made'),
	('rate_limit', 'id account endpoint key counts max_requests per pace server'),
	('rate_use', 'id limit_id key_hash granted_at tokens outstanding'),
	('result_0', 'job_id created_at finished_at attempts state task account role queue tenant_key result'),
	('result_1', 'job_id created_at finished_at attempts state task account role queue tenant_key result'),
	('result_2', 'job_id created_at finished_at attempts state task account role queue tenant_key result'),
	('result_rotation', 'one current rotated_at'),
	('retry_policy', 'task outcome max_attempts base cap'),
	('rotation', 'one current rotated_at'),
	('route', 'rank pattern queue ready_made'),
	('search_cache', 'digest account page rows more fetched_at domain people'),
	('soft_bounce', 'address_key bounces first_at last_at'),
	('suppression', 'address_key scope reason since event_id address note'),
	('suppression_key', 'one key'),
	('task', 'name function run_as timeout max_attempts retry_base retry_cap give_up_on batch registered_by registered_at'),
	('webhook_event', 'id source event_id type kind content_key occurred_at received_at next_at status applied attempts pending jobs error raw'),
	('webhook_handler', 'id source event function mode role max_attempts retry_base retry_cap'),
	('webhook_order', 'role object occurred_at rank'),
	('webhook_source', 'name scheme provider secrets tolerance max_body content_key enabled shadow') $$,
	'these are the tables and their columns');
SELECT results_eq(
	$$ SELECT name, columns FROM relations WHERE relkind <> 'r' ORDER BY name COLLATE "C" $$,
	$$ VALUES
	('accounts', 'account provider state reason until'),
	('attempts', 'job_id attempt started_at took http_status account outcome verdict reason excerpt error'),
	('blocked', 'job_id task queue tenant_key role why until detail'),
	('circuits', 'account state reason until set_by calls failures failures_in_row changed_at'),
	('credits', 'account calls spent last_at budget per used remaining next_at stopped_at reason resumes_at'),
	('dead_letters', 'job_id state reason outcome account http_status attempts failures task role queue tenant_key order_key '
		'idempotency_key delivery accounts args excerpt error note created_at finished_at'),
	('jobs', 'id task queue tenant_key priority state attempts run_at role account reason created_at finished_at'),
	('messages', 'job_id account provider message_id raw_message_id http_status attempts role queue tenant_key from_addr '
		'to_addr subject created_at sent_at note state delivered_at bounced_at hard reason opened_at opens clicked_at clicks '
		'complained_at unsubscribed_at deferrals last_event_at taken_off'),
	('queues', 'name state reason until max_priority concurrency max_depth on_full'),
	('rate_limits', 'account endpoint key max_requests per pace windows used remaining next_at id counts is_default'),
	('rate_rule', 'id server account endpoint key counts max_requests per pace is_default'),
	('stat_accounts', 'account provider calls ok miss pending throttled transient ambiguous quota credential config permanent malformed '
		'sent_bytes received_bytes reused_connections mean_ms p50_ms p95_ms p99_ms failed_at failed_class failed_reason since'),
	('stat_activity', 'job_id task account attempt phase age reused_connection awaited'),
	('stat_queues', 'queue ready running scheduled estimated oldest_age processed failed unknown dead_letters retried '
		'processed_per_second failed_per_second counted_at'),
	('stat_workers', 'kind pid database role state since in_flight turns heartbeat private_bytes'),
	('suppressions', 'address scope reason since event_id note forgotten'),
	('top', 'what name state waiting running oldest per_second ended bad p50_ms p99_ms note'),
	('unknown_sends', 'job_id age account reason http_status attempts delivery role queue tenant_key to_addr subject '
		'created_at finished_at'),
	('webhook_events', 'id source event_id type kind occurred_at received_at status attempts next_at error jobs'),
	('webhook_rejections', 'at source http_status reason body_bytes hint number') $$,
	'these are the views and their columns');
SELECT bag_eq(
	$$ SELECT name FROM relations r JOIN pg_class c USING (oid)
	    WHERE r.relkind = 'v' AND 'security_barrier=true' = ANY (c.reloptions) $$,
	$$ VALUES ('attempts'), ('dead_letters'), ('jobs'), ('messages'), ('unknown_sends') $$,
	'no view over rows of several roles lets a function look behind it');
SELECT is_empty(
	$$ SELECT name FROM relations r JOIN pg_class c USING (oid) WHERE r.relkind = 'r' AND c.relpersistence <> 'p' $$,
	'every table is logged');
SELECT is_empty(
	$$ SELECT a.attrelid::regclass, a.attname FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid
	    WHERE a.attnum > 0 AND a.atttypid IN ('timestamp'::regtype, 'varchar'::regtype, 'json'::regtype) $$,
	'times carry their zone, texts have no width, documents are jsonb');
SELECT bag_eq(
	$$ SELECT unnest(extconfig)::regclass::text FROM pg_extension WHERE extname = 'roleferry' $$,
	$$ VALUES ('roleferry.outbox'), ('roleferry.outbox_id_seq'), ('roleferry.message'), ('roleferry.message_life'),
	          ('roleferry.soft_bounce'), ('roleferry.suppression'), ('roleferry.suppression_key'),
	          ('roleferry.dead_letter'), ('roleferry.idempotency'), ('roleferry.forced_circuit'), ('roleferry.account_stop'),
	          ('roleferry.credit_use'), ('roleferry.rate_limit'),
	          ('roleferry.rate_limit_id_seq'), ('roleferry.rate_use'), ('roleferry.rate_use_id_seq'),
	          ('roleferry.queue'), ('roleferry.route'), ('roleferry.retry_policy'), ('roleferry.task'), ('roleferry.job_action'), ('roleferry.pause'), ('roleferry.email_verdict_cache'), ('roleferry.search_cache'), ('roleferry.person_cache'),
	          ('roleferry.webhook_source'), ('roleferry.webhook_event'), ('roleferry.webhook_event_id_seq'),
	          ('roleferry.webhook_handler'), ('roleferry.webhook_handler_id_seq'), ('roleferry.webhook_order') $$,
	'a dump holds jobs, messages, dead letters, keys, limits and their use, queues, routes, retries, verdicts, what was found, and not the activation');
SELECT is(
	(SELECT 'fillfactor=50' = ANY (reloptions) FROM pg_class WHERE oid = 'roleferry.outbox'::regclass), true,
	'claims find room on the page of their row');
SELECT is_empty(
	$$ SELECT indexrelid::regclass, attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
	    WHERE indrelid = 'roleferry.outbox'::regclass
	      AND attname IN ('worker', 'attempts', 'failures', 'claimed_at', 'crashes') $$,
	'no index stands in the way of a claim');

--
-- Comments
--
SELECT is_empty(
	$$ SELECT name FROM functions WHERE coalesce(obj_description(oid, 'pg_proc'), '') = '' $$,
	'every function has a comment');
SELECT is_empty(
	$$ SELECT name FROM relations WHERE coalesce(obj_description(oid, 'pg_class'), '') = '' $$,
	'every table and view has a comment');
SELECT is_empty(
	$$ SELECT fdwname FROM pg_foreign_data_wrapper
	    WHERE fdwname = 'roleferry' AND coalesce(obj_description(oid, 'pg_foreign_data_wrapper'), '') = '' $$,
	'so has the wrapper');

--
-- Rights.  A NULL list means the built-in default, which for a function is
-- EXECUTE for PUBLIC: acldefault() says so.
--
SELECT is_empty(
	$$ SELECT f.name, a.privilege_type FROM functions f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
	    WHERE a.grantee NOT IN (f.proowner, 'pg_monitor'::regrole) $$,
	'nobody but its owner may execute a function, pg_monitor set aside');
SELECT is_empty(
	$$ SELECT c.relname, a.privilege_type
	     FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a
	    WHERE c.relnamespace = 'roleferry'::regnamespace AND c.relkind IN ('r', 'v', 'S') AND a.grantee NOT IN (c.relowner, 'pg_monitor'::regrole) $$,
	'nobody but its owner may use a table, view or sequence');
SELECT is_empty(
	$$ SELECT attrelid::regclass, attname FROM pg_attribute JOIN relations r ON r.oid = attrelid WHERE attacl IS NOT NULL $$,
	'nor a single column of one');
SELECT is_empty(
	$$ SELECT a.privilege_type FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
	    WHERE n.nspname = 'roleferry' AND a.grantee NOT IN (n.nspowner, 'pg_monitor'::regrole) $$,
	'nobody but its owner may use the schema');
SELECT set_eq(
	$$ SELECT f.name, a.privilege_type FROM functions f, aclexplode(f.proacl) a WHERE a.grantee = 'pg_monitor'::regrole
	   UNION ALL SELECT c.relname::text, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
	    WHERE c.relnamespace = 'roleferry'::regnamespace AND a.grantee = 'pg_monitor'::regrole $$,
	$$ VALUES ('account_statistics', 'EXECUTE'), ('job_statistics', 'EXECUTE'), ('metrics', 'EXECUTE'), ('healthy', 'EXECUTE'),
	          ('requests_under_way', 'EXECUTE'), ('stat_activity', 'SELECT'), ('queue_statistics', 'EXECUTE'),
	          ('worker_statistics', 'EXECUTE'), ('account_gates', 'EXECUTE'), ('stat_queues', 'SELECT'), ('stat_workers', 'SELECT'),
	          ('top', 'SELECT'),
	          ('stat_accounts', 'SELECT') $$,
	'pg_monitor reads numbers, and neither jobs nor addresses');
SELECT is_empty(
	$$ SELECT a.privilege_type FROM pg_foreign_data_wrapper w, aclexplode(coalesce(w.fdwacl, acldefault('F', w.fdwowner))) a
	    WHERE w.fdwname = 'roleferry' AND a.grantee <> w.fdwowner $$,
	'nobody but its owner may make an account');
SELECT is_empty(
	$$ SELECT command FROM roleferry.access_matrix() WHERE command ~* 'delete|update|truncate|with grant option|\mall\M'
	      AND (access <> 'operator' OR command !~ ' ON roleferry\.(rate_limit|queue|route|retry_policy|email_verdict_cache|webhook_source|webhook_handler)(, roleferry\.route)?$') $$,
	'no kind of access changes or deletes rows by hand, but for the limits, queues, routes, retries and kept verdicts that operators write');

--
-- Settings
--
SELECT results_eq(
	$$ SELECT name, context, coalesce(unit, ''), boot_val FROM pg_settings
	    WHERE name LIKE 'roleferry.%' ORDER BY name COLLATE "C" $$,
	$$ VALUES
	('roleferry.after_promotion', 'sighup', '', 'continue'),
	('roleferry.allow_insecure_hosts', 'sighup', '', ''),
	('roleferry.allow_private_addresses', 'sighup', '', ''),
	('roleferry.attempt_retention', 'sighup', 'min', '10080'),
	('roleferry.batch_give_up', 'sighup', 's', '86400'),
	('roleferry.breaker_cooldown', 'sighup', 'ms', '30000'),
	('roleferry.breaker_failure_percent', 'sighup', '', '50'),
	('roleferry.breaker_failures', 'sighup', '', '5'),
	('roleferry.breaker_min_calls', 'sighup', '', '20'),
	('roleferry.breaker_window', 'sighup', 'ms', '60000'),
	('roleferry.ca_file', 'sighup', '', ''),
	('roleferry.claim_synchronous_commit', 'sighup', '', 'on'),
	('roleferry.connect_timeout', 'sighup', 'ms', '10000'),
	('roleferry.databases', 'sighup', '', ''),
	('roleferry.dead_letter_retention', 'sighup', 'min', '129600'),
	('roleferry.dogstatsd', 'sighup', '', ''),
	('roleferry.dogstatsd_tags', 'sighup', '', ''),
	('roleferry.email_accounts', 'sighup', '', ''),
	('roleferry.enrich_max_wait', 'sighup', 'ms', '20'),
	('roleferry.executor_idle_timeout', 'sighup', 'ms', '10000'),
	('roleferry.http_proxy', 'sighup', '', ''),
	('roleferry.idempotency_retention', 'sighup', 'min', '43200'),
	('roleferry.idle_timeout', 'sighup', 'ms', '20000'),
	('roleferry.limiter_memory', 'postmaster', 'kB', '4096'),
	('roleferry.log_recipients', 'sighup', '', 'off'),
	('roleferry.max_accounts', 'postmaster', '', '64'),
	('roleferry.max_attempts', 'sighup', '', '10'),
	('roleferry.max_calls', 'postmaster', '', '64'),
	('roleferry.max_executors', 'sighup', '', '4'),
	('roleferry.max_in_flight', 'sighup', '', '64'),
	('roleferry.message_retention', 'sighup', 'min', '576000'),
	('roleferry.mode', 'user', '', 'live'),
	('roleferry.person_fresh', 'sighup', 'min', '129600'),
	('roleferry.redirect_all_to', 'sighup', '', ''),
	('roleferry.request_timeout', 'sighup', 'ms', '30000'),
	('roleferry.resend_unknown_after', 'sighup', 'min', '0'),
	('roleferry.result_ttl', 'sighup', 'min', '60'),
	('roleferry.retry_after_max', 'sighup', 's', '3600'),
	('roleferry.reuse_max_idle', 'sighup', 's', '5'),
	('roleferry.search_accounts', 'sighup', '', ''),
	('roleferry.search_fresh', 'user', 'min', '1440'),
	('roleferry.search_stale', 'user', 'min', '43200'),
	('roleferry.secrets_directory', 'postmaster', '', ''),
	('roleferry.send_in_transaction', 'user', '', 'queue'),
	('roleferry.shutdown_grace', 'sighup', 'ms', '5000'),
	('roleferry.soft_bounce_limit', 'sighup', '', '5'),
	('roleferry.sweep_interval', 'sighup', 'ms', '1000'),
	('roleferry.unsubscribe_secrets', 'sighup', '', ''),
	('roleferry.unsubscribe_url', 'sighup', '', ''),
	('roleferry.verify_invalid_age', 'sighup', 'min', '129600'),
	('roleferry.verify_max_batch', 'sighup', '', '100000'),
	('roleferry.verify_max_wait', 'sighup', 'ms', '1000'),
	('roleferry.verify_poll_interval', 'sighup', 'ms', '1000'),
	('roleferry.verify_risky_age', 'sighup', 'min', '10080'),
	('roleferry.verify_valid_age', 'sighup', 'min', '43200'),
	('roleferry.webhook_body_retention', 'sighup', 'min', '43200'),
	('roleferry.webhook_retention', 'sighup', 'min', '576000') $$,
	'these are the settings, who may change them, their units and defaults');
SELECT is_empty(
	$$ SELECT name FROM pg_settings WHERE name LIKE 'roleferry.%' AND coalesce(short_desc, '') !~ '^[A-Z].*\.$' $$,
	'every setting is described in a sentence');
SELECT is_empty(
	$$ SELECT name FROM pg_settings WHERE name LIKE 'roleferry.%' AND vartype = 'integer' AND unit IS NULL
	      AND name !~ '\.(max_accounts|max_attempts|max_calls|max_in_flight|breaker_failures|breaker_min_calls|breaker_failure_percent|soft_bounce_limit|verify_max_batch|max_executors)$' $$,
	'a number without a unit is a count or a percentage');
SELECT throws_ok(
	$$ SET roleferry.max_in_flihgt = 5 $$, '42602', NULL,
	'a misspelt setting is refused');

SELECT * FROM finish();
ROLLBACK;
