/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  roleferry's configuration parameters: one table for each type.
 *
 * Units stand in the flags, never in the names.  Called once, while the
 * library is preloaded.
 *
 * IDENTIFICATION
 *	  src/settings.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "utils/guc.h"

#include "core/mode.h"
#include "settings.h"
#include "settings_check.h"

char	   *rf_secrets_directory = NULL;
int			rf_max_accounts = 64;
int			rf_max_calls = 64;
int			rf_limiter_memory = 4096;
char	   *rf_databases = NULL;
char	   *rf_email_accounts = NULL;
char	   *rf_dogstatsd = NULL;
char	   *rf_dogstatsd_tags = NULL;
char	   *rf_search_accounts = NULL;
char	   *rf_redirect_all_to = NULL;
char	   *rf_unsubscribe_url = NULL;
char	   *rf_unsubscribe_secrets = NULL;
char	   *rf_allow_insecure_hosts = NULL;
char	   *rf_allow_private_addresses = NULL;
char	   *rf_ca_file = NULL;
char	   *rf_http_proxy = NULL;
int			rf_connect_timeout = 10000;
int			rf_request_timeout = 30000;
int			rf_idle_timeout = 20000;
int			rf_reuse_max_idle = 5;
int			rf_max_in_flight = 64;
int			rf_max_executors = 4;
int			rf_executor_idle_timeout = 10000;
int			rf_claim_synchronous_commit = SYNCHRONOUS_COMMIT_ON;
int			rf_after_promotion = RF_AFTER_PROMOTION_CONTINUE;
int			rf_log_recipients = RF_LOG_RECIPIENTS_OFF;
int			rf_shutdown_grace = 5000;
int			rf_max_attempts = 10;
int			rf_retry_after_max = 3600;
int			rf_breaker_failures = 5;
int			rf_breaker_cooldown = 30000;
int			rf_breaker_failure_percent = 50;
int			rf_breaker_min_calls = 20;
int			rf_breaker_window = 60000;
int			rf_sweep_interval = 1000;
int			rf_batch_give_up = 24 * 3600;
int			rf_verify_max_wait = 1000;
int			rf_verify_max_batch = 100000;
int			rf_verify_poll_interval = 1000;
int			rf_verify_valid_age = 30 * 24 * 60;
int			rf_verify_invalid_age = 90 * 24 * 60;
int			rf_verify_risky_age = 7 * 24 * 60;
int			rf_resend_unknown_after = 0;
int			rf_soft_bounce_limit = 5;
int			rf_attempt_retention = 7 * 24 * 60;
int			rf_dead_letter_retention = 90 * 24 * 60;
int			rf_message_retention = 400 * 24 * 60;
int			rf_idempotency_retention = 30 * 24 * 60;
int			rf_webhook_retention = 400 * 24 * 60;
int			rf_webhook_body_retention = 30 * 24 * 60;
int			rf_result_ttl = 60;
int			rf_search_fresh = 24 * 60;
int			rf_search_stale = 30 * 24 * 60;
int			rf_person_fresh = 90 * 24 * 60;
int			rf_enrich_max_wait = 20;
int			rf_send_in_transaction = RF_SEND_QUEUE;
int			rf_mode = RF_MODE_LIVE;
bool		rf_mode_is_own = false;
void		(*rf_mode_of_server_changed) (int mode) = NULL;

typedef struct StringSetting
{
	const char *name;
	const char *description;
	const char *detail;
	char	  **variable;
	GucContext	context;
	int			flags;
	GucStringCheckHook check;
} StringSetting;


typedef struct IntSetting
{
	const char *name;
	const char *description;
	const char *detail;
	int		   *variable;
	int			minimum;
	int			maximum;
	GucContext	context;
	int			flags;
} IntSetting;

typedef struct EnumSetting
{
	const char *name;
	const char *description;
	const char *detail;
	int		   *variable;
	const struct config_enum_entry *values;
	GucContext	context;
	GucEnumCheckHook check;
	GucEnumAssignHook assign;
} EnumSetting;

static const StringSetting string_settings[] = {
	{"roleferry.secrets_directory",
		"Directory of the files that hold the providers' keys.",
		"Outside the data directory, owned by the server's user, mode 0700.",
	&rf_secrets_directory, PGC_POSTMASTER, GUC_SUPERUSER_ONLY, NULL},
	{"roleferry.databases",
		"Databases that are served, separated by commas.",
		"Nothing is ever sent from a database that is not listed.",
	&rf_databases, PGC_SIGHUP, GUC_LIST_INPUT, rf_check_names},
	{"roleferry.email_accounts",
		"Accounts that e-mail goes out by, in order of preference.",
		"Empty: every e-mail account the role may use, by name.",
	&rf_email_accounts, PGC_SIGHUP, GUC_LIST_INPUT, rf_check_names},
	{"roleferry.dogstatsd",
		"Where metrics go: host:port (a numeric address) or the path of a socket.",
		"As Datadog's agent takes them, by UDP or a unix datagram socket. Empty: nowhere.",
	&rf_dogstatsd, PGC_SIGHUP, 0, rf_check_dogstatsd},
	{"roleferry.dogstatsd_tags",
		"Tags of every metric, as in \"team:sales, region:eu\".",
		"DD_ENV, DD_SERVICE and DD_VERSION of the server's environment are added.",
	&rf_dogstatsd_tags, PGC_SIGHUP, 0, NULL},
	{"roleferry.search_accounts",
		"Accounts that people are searched by, in order of preference.",
		"Empty: every account that searches for nothing and that the role may use, by name.",
	&rf_search_accounts, PGC_SIGHUP, GUC_LIST_INPUT, rf_check_names},
	{"roleferry.redirect_all_to",
		"Address that every mail goes to instead of its recipients.",
		"They stand in the header X-Roleferry-Original-To. Empty: mails go to whom they are for.",
	&rf_redirect_all_to, PGC_SIGHUP, 0, rf_check_address},
	{"roleferry.unsubscribe_url",
		"Where the link in a mail with unsubscribe leads: an https URL, to which token=... is added.", NULL,
	&rf_unsubscribe_url, PGC_SIGHUP, 0, rf_check_https_url},
	{"roleferry.unsubscribe_secrets",
		"Files of the keys for these links: the first makes them, all are taken; by default unsubscribe.", NULL,
	&rf_unsubscribe_secrets, PGC_SIGHUP, GUC_LIST_INPUT, rf_check_names},
	{"roleferry.allow_insecure_hosts",
		"Hosts (host or host:port) that may be spoken to without TLS.",
		"For tests only: keys and mails cross the network in clear.",
	&rf_allow_insecure_hosts, PGC_SIGHUP, GUC_LIST_INPUT, NULL},
	{"roleferry.allow_private_addresses",
		"Private addresses (or CIDR blocks) that may be connected to.",
		"Every other address that is not public is refused after resolving.",
	&rf_allow_private_addresses, PGC_SIGHUP, GUC_LIST_INPUT, NULL},
	{"roleferry.ca_file",
		"File of the certificate authorities that providers are checked against.",
		"Empty: the system's.",
	&rf_ca_file, PGC_SIGHUP, 0, NULL},
	{"roleferry.http_proxy",
		"Proxy that requests go through.",
		"Empty: none, whatever the server's environment says.",
	&rf_http_proxy, PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL}
};

static const IntSetting int_settings[] = {
	{"roleferry.max_accounts",
		"Accounts, over all databases, that shared memory has room for.", NULL,
	&rf_max_accounts, 1, 10000, PGC_POSTMASTER, 0},
	{"roleferry.max_calls",
		"Sessions, over all databases, that can wait for a call at once.",
		"Each takes 64 KB of shared memory.",
	&rf_max_calls, 1, 10000, PGC_POSTMASTER, 0},
	{"roleferry.limiter_memory",
		"Shared memory for the windows of rate limits, over all databases.",
		"A limit takes 8 bytes for each request it allows; one by key, for each key in use.",
	&rf_limiter_memory, 64, 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB},
	{"roleferry.connect_timeout",
		"How long a connection, TLS included, may take.",
		"When it passes, nothing was sent and the job is tried again.",
	&rf_connect_timeout, 10, 600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.request_timeout",
		"How long one request may take from its start to the end of the answer.",
		"When it passes after the request may have left, a mail becomes unknown.",
	&rf_request_timeout, 10, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.idle_timeout",
		"How long a request may go without a byte in either direction.", NULL,
	&rf_idle_timeout, 10, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.reuse_max_idle",
		"How long a connection may have been idle to carry another mail.", NULL,
	&rf_reuse_max_idle, 0, 3600, PGC_SIGHUP, GUC_UNIT_S},
	{"roleferry.max_in_flight",
		"Requests one dispatcher has under way at once.", NULL,
	&rf_max_in_flight, 1, 2000, PGC_SIGHUP, 0},
	{"roleferry.max_executors",
		"Processes that run the SQL tasks of one database at once.",
		"Each takes one of max_worker_processes while there is work for it.  0: SQL tasks wait.",
	&rf_max_executors, 0, 64, PGC_SIGHUP, 0},
	{"roleferry.executor_idle_timeout",
		"How long a process that runs SQL tasks stays without work.", NULL,
	&rf_executor_idle_timeout, 0, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.shutdown_grace",
		"How long a dispatcher that is told to stop waits for answers.",
		"What has no answer by then becomes unknown, or waits again if it may be sent twice.",
	&rf_shutdown_grace, 0, 600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.max_attempts",
		"Failures after which a job is given up, where the job does not say.", NULL,
	&rf_max_attempts, 1, 1000, PGC_SIGHUP, 0},
	{"roleferry.retry_after_max",
		"The longest wait a provider can ask for.", NULL,
	&rf_retry_after_max, 1, 7 * 86400, PGC_SIGHUP, GUC_UNIT_S},
	{"roleferry.breaker_failures",
		"Failures in a row that open an account's circuit.", NULL,
	&rf_breaker_failures, 1, 10000, PGC_SIGHUP, 0},
	{"roleferry.breaker_cooldown",
		"How long an opened circuit stays open before one request probes it.",
		"Doubled at each failed probe, up to ten times this.",
	&rf_breaker_cooldown, 1, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.breaker_failure_percent",
		"Share of failed requests that opens an account's circuit.",
		"Of those in roleferry.breaker_window, if they are at least roleferry.breaker_min_calls. 0: any share will do.",
	&rf_breaker_failure_percent, 0, 100, PGC_SIGHUP, 0},
	{"roleferry.breaker_min_calls",
		"Requests that must have been made before their share of failures counts.", NULL,
	&rf_breaker_min_calls, 1, 1000000, PGC_SIGHUP, 0},
	{"roleferry.breaker_window",
		"How far back requests count for the share of failures.", NULL,
	&rf_breaker_window, 100, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.sweep_interval",
		"How often the outbox is looked through for jobs nobody announced.",
		"Longer by itself when looking is costly: at most a fiftieth of the time is spent so.",
	&rf_sweep_interval, 10, 600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.batch_give_up",
		"How long a paid request is waited for whose outcome does not come.",
		"Verifications under review, or a provider that cannot be asked. After that its jobs are unknown.",
	&rf_batch_give_up, 1, 30 * 86400, PGC_SIGHUP, GUC_UNIT_S},
	{"roleferry.verify_max_wait",
		"How long a verification waits for others to be paid for with it.", NULL,
	&rf_verify_max_wait, 0, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.verify_max_batch",
		"Addresses in one job of a verification provider.",
		"Never more than the provider takes.",
	&rf_verify_max_batch, 1, 1000000, PGC_SIGHUP, 0},
	{"roleferry.verify_poll_interval",
		"How soon a verification provider is asked whether a job is complete.",
		"Growing by half each time, up to thirty times this.",
	&rf_verify_poll_interval, 10, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"roleferry.verify_valid_age",
		"How long the verdict valid answers further questions.", NULL,
	&rf_verify_valid_age, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.verify_invalid_age",
		"How long the verdict invalid answers further questions.", NULL,
	&rf_verify_invalid_age, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.verify_risky_age",
		"How long the verdict risky answers further questions.",
		"An unknown one answers only who asked.",
	&rf_verify_risky_age, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.resend_unknown_after",
		"How long a mail of unknown outcome waits for an event before it is sent again; 0: for ever.",
		"Only where its delivery is at_least_once, which is then not tried again at once.",
	&rf_resend_unknown_after, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.soft_bounce_limit",
		"Soft bounces of an address, without a delivery between, that suppress it; 0: none do.", NULL,
	&rf_soft_bounce_limit, 0, 10000, PGC_SIGHUP, 0},
	{"roleferry.attempt_retention",
		"How long the history of attempts is kept, at least.", NULL,
	&rf_attempt_retention, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.dead_letter_retention",
		"How long dead letters are kept.",
		"Sends whose outcome is unknown are kept as long as messages.",
	&rf_dead_letter_retention, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.message_retention",
		"How long the record of an accepted mail is kept.", NULL,
	&rf_message_retention, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.idempotency_retention",
		"How long an idempotency key is remembered after its job has ended, at least.", NULL,
	&rf_idempotency_retention, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.webhook_retention",
		"How long an event of a webhook is known.",
		"One that comes again later takes effect again.",
	&rf_webhook_retention, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.webhook_body_retention",
		"How long the bytes of an event are kept.", NULL,
	&rf_webhook_body_retention, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.result_ttl",
		"How long what a job returned is kept, at least.", NULL,
	&rf_result_ttl, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.search_fresh",
		"How long what a search found is given again without asking the provider.",
		"0: every search asks.",
	&rf_search_fresh, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MIN},
	{"roleferry.search_stale",
		"How long what a search found is kept for when the provider cannot be asked.",
		"0: it is not given again once it is not fresh.",
	&rf_search_stale, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MIN},
	{"roleferry.person_fresh",
		"How long a person who was paid for is not paid for again.", NULL,
	&rf_person_fresh, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
	{"roleferry.enrich_max_wait",
		"How long people are gathered who are then paid for in one request.",
		"As many as a request takes do not wait.",
	&rf_enrich_max_wait, 0, 60000, PGC_SIGHUP, GUC_UNIT_MS}
};

/* Levels a claim may wait for; "off" is not among them on purpose. */
static const struct config_enum_entry claim_synchronous_commit_values[] = {
	{"local", SYNCHRONOUS_COMMIT_LOCAL_FLUSH, false},
	{"remote_write", SYNCHRONOUS_COMMIT_REMOTE_WRITE, false},
	{"on", SYNCHRONOUS_COMMIT_ON, false},
	{"remote_apply", SYNCHRONOUS_COMMIT_REMOTE_APPLY, false},
	{NULL, 0, false}
};

static const struct config_enum_entry after_promotion_values[] = {
	{"continue", RF_AFTER_PROMOTION_CONTINUE, false},
	{"hold", RF_AFTER_PROMOTION_HOLD, false},
	{NULL, 0, false}
};

static const struct config_enum_entry log_recipients_values[] = {
	{"off", RF_LOG_RECIPIENTS_OFF, false},
	{"hashed", RF_LOG_RECIPIENTS_HASHED, false},
	{NULL, 0, false}
};

static const struct config_enum_entry send_in_transaction_values[] = {
	{"queue", RF_SEND_QUEUE, false},
	{"error", RF_SEND_ERROR, false},
	{NULL, 0, false}
};

/* As core/mode.h has them. */
static const struct config_enum_entry mode_values[] = {
	{"live", RF_MODE_LIVE, false}, {"sandbox", RF_MODE_SANDBOX, false},
	{"capture", RF_MODE_CAPTURE, false}, {"off", RF_MODE_OFF, false},
	{NULL, 0, false}
};

static const EnumSetting enum_settings[] = {
	{"roleferry.claim_synchronous_commit",
		"What the commit that marks a mail as being sent waits for.",
		"Never less than the local disk.",
	&rf_claim_synchronous_commit, claim_synchronous_commit_values, PGC_SIGHUP, NULL, NULL},
	{"roleferry.after_promotion",
		"What an active database does when its standby has been promoted.",
		"hold: it sends nothing until roleferry.activate() is called.",
	&rf_after_promotion, after_promotion_values, PGC_SIGHUP, NULL, NULL},
	{"roleferry.log_recipients",
		"What lines of the log about a mail say of its recipient.",
		"hashed: the beginning of what roleferry.address_key() returns for the address; never the address itself.",
	&rf_log_recipients, log_recipients_values, PGC_SIGHUP, NULL, NULL},
	{"roleferry.send_in_transaction",
		"What send_email() does where a rollback could follow.",
		"queue: it puts the mail into the outbox, as enqueue_email() does; error: it refuses.",
	&rf_send_in_transaction, send_in_transaction_values, PGC_USERSET, NULL, NULL},
	{"roleferry.mode",
		"May anything leave: live, sandbox (with the providers' test flags), capture (nothing is sent, and can be looked at), off.",
		"A session may choose a stricter one than the server's; jobs keep the one they were enqueued under.",
	&rf_mode, mode_values, PGC_USERSET, rf_check_mode, rf_assign_mode}
};

void
rf_settings_define(void)
{
	for (size_t i = 0; i < lengthof(string_settings); i++)
	{
		const StringSetting *s = &string_settings[i];

		DefineCustomStringVariable(s->name, s->description, s->detail,
								   s->variable, "", s->context, s->flags,
								   s->check, NULL, NULL);
	}
	for (size_t i = 0; i < lengthof(int_settings); i++)
	{
		const IntSetting *s = &int_settings[i];

		DefineCustomIntVariable(s->name, s->description, s->detail,
								s->variable, *s->variable,
								s->minimum, s->maximum, s->context, s->flags,
								NULL, NULL, NULL);
	}
	for (size_t i = 0; i < lengthof(enum_settings); i++)
	{
		const EnumSetting *s = &enum_settings[i];

		DefineCustomEnumVariable(s->name, s->description, s->detail,
								 s->variable, *s->variable, s->values,
								 s->context, 0, s->check, s->assign, NULL);
	}

	MarkGUCPrefixReserved("roleferry");
}
