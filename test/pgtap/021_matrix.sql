-- Every object of the extension, every privilege, every kind of access: what is
-- decided here is what grant_access() grants.  A new object without a line here
-- fails, and so does a privilege that nobody decided.
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

SELECT plan(12);

CREATE ROLE regress_roleferry_sender;
CREATE ROLE regress_roleferry_reader;
CREATE ROLE regress_roleferry_operator;
CREATE ROLE regress_roleferry_webhook;
CREATE ROLE regress_roleferry_stranger;
CREATE ROLE regress_roleferry_many;

-- Who may do what.  "-" is nobody but the owner.
CREATE TEMP TABLE decided (object text COLLATE "C", privilege text, who text);
INSERT INTO decided VALUES
('schema roleferry', 'USAGE', 'sender reader operator webhook'),
('wrapper roleferry', '-', ''),

('function access_matrix', '-', ''),
('function account_gates', 'EXECUTE', 'reader operator'),
('function account_provider', 'EXECUTE', 'reader operator'),
('function account_statistics', 'EXECUTE', 'reader operator'),
('function activate', 'EXECUTE', 'operator'),
('function activation_state', 'EXECUTE', 'reader operator'),
('function address_key', '-', ''),
('function apollo_search', 'EXECUTE', 'sender'),
('function cancel', 'EXECUTE', 'sender operator'),
('function captured', 'EXECUTE', 'sender reader operator'),
('function check_scope', '-', ''),
('function circuit_states', 'EXECUTE', 'reader operator'),
('function deactivate', 'EXECUTE', 'operator'),
('function default_limits', 'EXECUTE', 'reader operator'),
('function enqueue', 'EXECUTE', 'sender'),
('function enqueue_apollo_search', 'EXECUTE', 'sender'),
('function enqueue_email', 'EXECUTE', 'sender'),
('function enqueue_verify_emails', 'EXECUTE', 'sender'),
('function explain', 'EXECUTE', 'sender'),
('function explain_email', 'EXECUTE', 'sender'),
('function fdw_validator', '-', ''),
('function fold_address', '-', ''),
('function force_circuit', 'EXECUTE', 'operator'),
('function forget', 'EXECUTE', 'operator'),
('function grant_access', '-', ''),
('function healthy', 'EXECUTE', 'reader operator'),
('function html_text', 'EXECUTE', 'reader operator'),
('function dead_letter_on_done', '-', ''),
('function job_again', '-', ''),
('function on_done_tell', '-', ''),
('function job_cancel', '-', ''),
('function job_lines', '-', ''),
('function job_outcome', '-', ''),
('function job_report', 'EXECUTE', 'sender reader operator'),
('function job_statistics', 'EXECUTE', 'reader operator'),
('function library_version', 'EXECUTE', 'reader operator'),
('function metrics', 'EXECUTE', 'reader operator'),
('function make_suppression_key', '-', ''),
('function outbox_check', '-', ''),
('function doctor', 'EXECUTE', 'reader operator'),
('function end_account_pause', 'EXECUTE', 'operator'),
('function pause_account', 'EXECUTE', 'operator'),
('function pause_all', 'EXECUTE', 'operator'),
('function pause_queue', 'EXECUTE', 'operator'),
('function drain_queue', 'EXECUTE', 'operator'),
('function queue_replace', '-', ''),
('function resume_all', 'EXECUTE', 'operator'),
('function resume_queue', 'EXECUTE', 'operator'),
('function pauses_known', '-', ''),
('function set_pause', '-', ''),
('function queues_changed', '-', ''),
('function account_row_server', '-', ''),
('function rate_limit_account', '-', ''),
('function rate_limit_check', '-', ''),
('function rate_windows', 'EXECUTE', 'reader operator'),
('function redrive', 'EXECUTE', 'operator'),
('function queue_statistics', 'EXECUTE', 'reader operator'),
('function register_task', 'EXECUTE', 'operator'),
('function report', 'EXECUTE', 'reader operator'),
('function report_bars', 'EXECUTE', 'reader operator'),
('function report_table', 'EXECUTE', 'reader operator'),
('function requests_under_way', 'EXECUTE', 'reader operator'),
('function result', 'EXECUTE', 'sender reader operator'),
('function resume_account', 'EXECUTE', 'operator'),
('function retry', 'EXECUTE', 'sender operator'),
('function revoke_access', '-', ''),
('function rules_changed', '-', ''),
('function send_email', 'EXECUTE', 'sender'),
('function server_identity', '-', ''),
('function server_mode', 'EXECUTE', 'sender reader operator'),
('function settle', 'EXECUTE', 'operator'),
('function stat_reset', 'EXECUTE', 'operator'),
('function unregister_task', 'EXECUTE', 'operator'),
('function verify_emails', 'EXECUTE', 'sender'),
('function wait_for', 'EXECUTE', 'sender reader operator'),
('function run_due', 'EXECUTE', 'sender operator'),
('function due_jobs', '-', ''),
('table retry_policy', 'SELECT', 'reader operator'),
('table retry_policy', 'INSERT', 'operator'),
('table retry_policy', 'UPDATE', 'operator'),
('table retry_policy', 'DELETE', 'operator'),
('function verify_signature', 'EXECUTE', 'operator'),
('function suppress', 'EXECUTE', 'operator'),
('function unsubscribe', 'EXECUTE', 'operator webhook'),
('function unsuppress', 'EXECUTE', 'operator'),
('function wake', 'EXECUTE', 'operator'),
('function advance', 'EXECUTE', 'sender'),
('function webhook_handler_check', '-', ''),
('function webhook_receive', 'EXECUTE', 'webhook'),
('function webhook_receive_json', 'EXECUTE', 'webhook'),
('function webhook_rejected', 'EXECUTE', 'operator'),
('function webhook_replay', 'EXECUTE', 'operator'),
('function webhook_retry', 'EXECUTE', 'operator'),
('function worker_statistics', 'EXECUTE', 'reader operator'),
('table webhook_event', 'SELECT', 'operator'),
('table webhook_handler', 'SELECT', 'operator'),
('table webhook_handler', 'DELETE', 'operator'),
('table webhook_order', '-', ''),
('table webhook_source', 'SELECT', 'operator'),
('table webhook_source', 'INSERT', 'operator'),
('table webhook_source', 'UPDATE', 'operator'),
('table webhook_source', 'DELETE', 'operator'),
('column webhook_handler.source', 'INSERT', 'operator'),
('column webhook_handler.event', 'INSERT', 'operator'),
('column webhook_handler.function', 'INSERT', 'operator'),
('column webhook_handler.mode', 'INSERT', 'operator'),
('column webhook_handler.role', 'INSERT', 'operator'),
('column webhook_handler.max_attempts', 'INSERT', 'operator'),
('column webhook_handler.retry_base', 'INSERT', 'operator'),
('column webhook_handler.retry_cap', 'INSERT', 'operator'),
('view webhook_events', 'SELECT', 'reader operator'),
('view webhook_rejections', 'SELECT', 'operator'),
('sequence webhook_event_id_seq', '-', ''),
('sequence webhook_handler_id_seq', '-', ''),

('table account_stop', 'SELECT', 'reader operator'),
('table activation', 'SELECT', 'operator'),
('table attempt_0', '-', ''),
('table attempt_1', '-', ''),
('table attempt_2', '-', ''),
('table attempt_kept', '-', ''),
('table batch', 'SELECT', 'reader operator'),
('table circuit_event', 'SELECT', 'reader operator'),
('table credit_use', 'SELECT', 'reader operator'),
('table dead_letter', 'SELECT', 'reader operator'),
('table email_verdict_cache', 'SELECT', 'reader operator'),
('table email_verdict_cache', 'DELETE', 'operator'),
('table forced_circuit', '-', ''),
('table job_action', 'SELECT', 'reader operator'),
('table idempotency', '-', ''),
('table message', 'SELECT', 'reader operator'),
('table message_life', 'SELECT', 'reader operator'),
('table outbox', 'SELECT', 'reader operator'),
('table pause', 'SELECT', 'reader operator'),
('table queue', 'SELECT', 'reader operator'),
('table queue', 'DELETE', 'operator'),
('table rate_limit', 'SELECT', 'reader operator'),
('table rate_limit', 'DELETE', 'operator'),
('table rate_use', '-', ''),
('table result_0', '-', ''),
('table result_1', '-', ''),
('table result_2', '-', ''),
('table result_rotation', '-', ''),
('table rotation', '-', ''),
('table route', 'SELECT', 'reader operator'),
('table route', 'DELETE', 'operator'),
('table task', 'SELECT', 'reader operator'),
('table search_cache', '-', ''),
('table person_cache', '-', ''),
('table soft_bounce', '-', ''),
('table suppression', '-', ''),
('table suppression_key', '-', ''),
('table soft_bounce', '-', ''),
('table suppression', '-', ''),
('table suppression_key', '-', ''),

('column outbox.id', 'SELECT', 'sender'),
('column outbox.task', 'INSERT', 'sender'),
('column outbox.args', 'INSERT', 'sender'),
('column outbox.queue', 'INSERT', 'sender'),
('column outbox.priority', 'INSERT', 'sender'),
('column outbox.run_at', 'INSERT', 'sender'),
('column outbox.expires_at', 'INSERT', 'sender'),
('column outbox.max_attempts', 'INSERT', 'sender'),
('column outbox.idempotency_key', 'INSERT', 'sender'),
('column outbox.order_key', 'INSERT', 'sender'),
('column outbox.tenant_key', 'INSERT', 'sender'),
('column outbox.delivery', 'INSERT', 'sender'),
('column outbox.on_done', 'INSERT', 'sender'),

('column queue.name', 'INSERT', 'operator'),
('column queue.name', 'UPDATE', 'operator'),
('column queue.max_priority', 'INSERT', 'operator'),
('column queue.max_priority', 'UPDATE', 'operator'),
('column queue.concurrency', 'INSERT', 'operator'),
('column queue.max_depth', 'INSERT', 'operator'),
('column queue.max_depth', 'UPDATE', 'operator'),
('column queue.on_full', 'INSERT', 'operator'),
('column queue.on_full', 'UPDATE', 'operator'),
('column queue.concurrency', 'UPDATE', 'operator'),

('column rate_limit.account', 'INSERT', 'operator'),
('column rate_limit.account', 'UPDATE', 'operator'),
('column rate_limit.endpoint', 'INSERT', 'operator'),
('column rate_limit.endpoint', 'UPDATE', 'operator'),
('column rate_limit.key', 'INSERT', 'operator'),
('column rate_limit.key', 'UPDATE', 'operator'),
('column rate_limit.counts', 'INSERT', 'operator'),
('column rate_limit.max_requests', 'INSERT', 'operator'),
('column rate_limit.max_requests', 'UPDATE', 'operator'),
('column rate_limit.per', 'INSERT', 'operator'),
('column rate_limit.per', 'UPDATE', 'operator'),
('column rate_limit.pace', 'INSERT', 'operator'),
('column rate_limit.pace', 'UPDATE', 'operator'),

('column route.rank', 'INSERT', 'operator'),
('column route.rank', 'UPDATE', 'operator'),
('column route.pattern', 'INSERT', 'operator'),
('column route.pattern', 'UPDATE', 'operator'),
('column route.queue', 'INSERT', 'operator'),
('column route.queue', 'UPDATE', 'operator'),

('view accounts', 'SELECT', 'reader operator'),
('view attempts', 'SELECT', 'reader operator'),
('view blocked', 'SELECT', 'reader operator'),
('view circuits', 'SELECT', 'reader operator'),
('view credits', 'SELECT', 'reader operator'),
('view dead_letters', 'SELECT', 'sender reader operator'),
('view jobs', 'SELECT', 'sender reader operator'),
('view messages', 'SELECT', 'sender reader operator'),
('view queues', 'SELECT', 'reader operator'),
('view rate_limits', 'SELECT', 'reader operator'),
('view rate_rule', 'SELECT', 'reader operator'),
('view stat_accounts', 'SELECT', 'reader operator'),
('view stat_activity', 'SELECT', 'reader operator'),
('view stat_queues', 'SELECT', 'reader operator'),
('view stat_workers', 'SELECT', 'reader operator'),
('view top', 'SELECT', 'reader operator'),
('view suppressions', 'SELECT', 'reader operator'),
('view unknown_sends', 'SELECT', 'sender reader operator'),

('sequence batch_id_seq', '-', ''),
('sequence outbox_id_seq', '-', ''),
('sequence rate_limit_id_seq', '-', ''),
('sequence rate_use_id_seq', '-', '');

-- What there is.  The schema is no member: CREATE EXTENSION makes it beforehand.
CREATE TEMP VIEW members AS
SELECT d.classid, d.objid FROM pg_depend d
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'roleferry')
UNION SELECT 'pg_namespace'::regclass, 'roleferry'::regnamespace::oid;

CREATE TEMP VIEW objects AS
SELECT m.classid, m.objid,
       (CASE m.classid
        WHEN 'pg_namespace'::regclass THEN 'schema ' || (SELECT nspname FROM pg_namespace WHERE oid = m.objid)
        WHEN 'pg_foreign_data_wrapper'::regclass THEN 'wrapper ' || (SELECT fdwname FROM pg_foreign_data_wrapper WHERE oid = m.objid)
        WHEN 'pg_proc'::regclass THEN 'function ' || (SELECT proname FROM pg_proc WHERE oid = m.objid)
        WHEN 'pg_class'::regclass THEN
             (SELECT CASE relkind WHEN 'r' THEN 'table ' WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence ' ELSE relkind::text || ' ' END || relname
                FROM pg_class WHERE oid = m.objid)
        ELSE 'unknown kind ' || m.classid::regclass::text || ' ' || m.objid END)::text COLLATE "C" AS object
  FROM members m
  -- what comes with a table
 WHERE m.classid <> 'pg_type'::regclass
    OR (SELECT typtype <> 'c' AND typelem = 0 FROM pg_type WHERE oid = m.objid);

CREATE TEMP VIEW holders (who, role) AS
VALUES ('sender', 'regress_roleferry_sender'::name), ('reader', 'regress_roleferry_reader'), ('operator', 'regress_roleferry_operator'),
       ('webhook', 'regress_roleferry_webhook'), ('stranger', 'regress_roleferry_stranger'), ('many', 'regress_roleferry_many'),
       ('PUBLIC', 'public');

CREATE TEMP VIEW relation_privileges (privilege) AS
SELECT unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']
	|| CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN ARRAY['MAINTAIN'] END);

-- What everybody holds.
CREATE TEMP VIEW held AS
SELECT o.object, p.privilege, h.who
  FROM objects o CROSS JOIN holders h CROSS JOIN (VALUES ('USAGE'), ('CREATE')) p (privilege)
 WHERE o.classid = 'pg_namespace'::regclass AND has_schema_privilege(h.role, o.objid, p.privilege)
UNION ALL
SELECT o.object, 'USAGE', h.who FROM objects o CROSS JOIN holders h
 WHERE o.classid = 'pg_foreign_data_wrapper'::regclass AND has_foreign_data_wrapper_privilege(h.role, o.objid, 'USAGE')
UNION ALL
SELECT o.object, 'EXECUTE', h.who FROM objects o CROSS JOIN holders h
 WHERE o.classid = 'pg_proc'::regclass AND has_function_privilege(h.role, o.objid, 'EXECUTE')
UNION ALL
SELECT o.object, p.privilege, h.who FROM objects o CROSS JOIN holders h CROSS JOIN relation_privileges p
 WHERE o.object ~ '^(table|view) ' AND has_table_privilege(h.role, o.objid, p.privilege)
UNION ALL
SELECT o.object, p.privilege, h.who
  FROM objects o CROSS JOIN holders h CROSS JOIN (VALUES ('USAGE'), ('SELECT'), ('UPDATE')) p (privilege)
 WHERE o.object ~ '^sequence ' AND has_sequence_privilege(h.role, o.objid, p.privilege)
UNION ALL
SELECT format('column %s.%s', a.attrelid::regclass::text, a.attname), p.privilege, h.who
  FROM objects o JOIN pg_attribute a ON a.attrelid = o.objid AND NOT a.attisdropped
 CROSS JOIN holders h CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('REFERENCES')) p (privilege)
 WHERE o.object ~ '^(table|view) ' AND has_column_privilege(h.role, o.objid, a.attnum, p.privilege)
   AND NOT has_table_privilege(h.role, o.objid, p.privilege);
SET LOCAL search_path = roleferry, public, pg_catalog;

SELECT is_empty('SELECT * FROM held', 'nobody holds anything before grant_access(), PUBLIC included');
SELECT set_eq(
	'SELECT object FROM objects',
	$$ SELECT object FROM decided WHERE object NOT LIKE 'column %' $$,
	'every object of the extension has a line in this test, and no other');
SELECT is((SELECT count(*) FROM objects), (SELECT count(DISTINCT object) FROM objects), 'each under a name of its own');

SELECT roleferry.grant_access(('regress_roleferry_' || who)::regrole, who)
  FROM unnest('{sender,reader,operator,webhook}'::text[]) who \g /dev/null
SELECT set_eq(
	'SELECT object::text, privilege, who FROM held',
	$$ SELECT object::text, privilege, w FROM decided, unnest(string_to_array(who, ' ')) w $$,
	'each kind of access brings what is decided here, and nothing else');
SELECT set_eq(
	'SELECT DISTINCT access FROM roleferry.access_matrix()',
	$$ VALUES ('sender'), ('reader'), ('operator'), ('webhook') $$,
	'the matrix knows four kinds of access');
SELECT is_empty(
	$$ SELECT command, access FROM roleferry.access_matrix() GROUP BY command, access HAVING count(*) > 1 $$,
	'and says nothing twice');

-- Kinds add up, and are taken back together.
SELECT roleferry.grant_access('regress_roleferry_many', who) FROM unnest('{sender,operator}'::text[]) who \g /dev/null
SELECT set_eq(
	$$ SELECT DISTINCT object::text, privilege FROM held WHERE who IN ('sender', 'operator') AND object <> 'column outbox.id' $$,
	$$ SELECT object::text, privilege FROM held WHERE who = 'many' $$,
	'a role may have several kinds of access');
SELECT lives_ok(
	$$ SELECT roleferry.revoke_access(role::text::regrole) FROM holders WHERE who <> 'PUBLIC' $$,
	'access can be taken back, also where there was none');
SELECT is_empty('SELECT * FROM held', 'and nothing is left of it');
SELECT lives_ok(
	$$ DROP ROLE regress_roleferry_sender, regress_roleferry_reader, regress_roleferry_operator,
		regress_roleferry_webhook, regress_roleferry_many $$,
	'so that the roles can be dropped');

-- What the words in them mean is decided here, too, and not by who calls.
SELECT is_empty(
	$$ SELECT o.object FROM objects o JOIN pg_proc p ON o.classid = 'pg_proc'::regclass AND p.oid = o.objid
	    WHERE p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')
	      AND p.prosqlbody IS NULL AND p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp'] $$,
	'every function in SQL or PL/pgSQL is bound when it is made, or pins its search path');
SELECT is_empty(
	$$ SELECT o.object FROM objects o JOIN pg_class c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid
	    WHERE o.object IN (SELECT object FROM decided WHERE object LIKE 'view %' AND who ~ 'sender')
	      AND (c.reloptions IS NULL OR NOT 'security_barrier=true' = ANY (c.reloptions)
	           OR pg_get_viewdef(c.oid) ~ '^.*\mUNION\M' AND pg_get_viewdef(c.oid) !~ '^\s*SELECT .*FROM \( *SELECT') $$,
	'every view that shows senders some of its rows is a barrier, and no bare UNION');

SELECT * FROM finish();
ROLLBACK;
