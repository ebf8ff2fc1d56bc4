/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  roleferry's configuration parameters, as variables.
 *
 * Defined in one table in settings.c.  Where the library was not preloaded
 * the parameters do not exist and the variables hold their defaults.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SETTINGS_H
#define ROLEFERRY_SETTINGS_H

#include <stdbool.h>

typedef enum RfAfterPromotion
{
	RF_AFTER_PROMOTION_CONTINUE,
	RF_AFTER_PROMOTION_HOLD
} RfAfterPromotion;

/* postmaster */
extern char *rf_secrets_directory;
extern int	rf_max_accounts;
extern int	rf_max_calls;
extern int	rf_limiter_memory;	/* kB */

/* reload: who is served, and where mail goes */
extern char *rf_databases;
extern char *rf_email_accounts;
extern char *rf_dogstatsd;
extern char *rf_dogstatsd_tags;
extern char *rf_search_accounts;
extern char *rf_redirect_all_to;
extern char *rf_unsubscribe_url;
extern char *rf_unsubscribe_secrets;

/* The file's, or a stricter one of the session: see shmem/server_mode.h */
extern int	rf_mode;			/* RfMode */
extern bool rf_mode_is_own;		/* the session, its role or database chose it */

/* reload: the way to the providers */
extern char *rf_allow_insecure_hosts;
extern char *rf_allow_private_addresses;
extern char *rf_ca_file;
extern char *rf_http_proxy;
extern int	rf_connect_timeout; /* ms */
extern int	rf_request_timeout; /* ms */
extern int	rf_idle_timeout;	/* ms */
extern int	rf_reuse_max_idle;	/* s */
extern int	rf_max_in_flight;
extern int	rf_max_executors;
extern int	rf_executor_idle_timeout;	/* ms */

typedef enum RfLogRecipients
{
	RF_LOG_RECIPIENTS_OFF,
	RF_LOG_RECIPIENTS_HASHED
} RfLogRecipients;

extern int	rf_log_recipients;	/* RfLogRecipients */

/* reload: delivery */
extern int	rf_claim_synchronous_commit;	/* SyncCommitLevel */
extern int	rf_after_promotion; /* RfAfterPromotion */
extern int	rf_shutdown_grace;	/* ms */
extern int	rf_max_attempts;
extern int	rf_retry_after_max; /* s */
extern int	rf_breaker_failures;
extern int	rf_breaker_cooldown;	/* ms */
extern int	rf_breaker_failure_percent;
extern int	rf_breaker_min_calls;
extern int	rf_breaker_window;	/* ms */
extern int	rf_sweep_interval;	/* ms */
extern int	rf_resend_unknown_after;	/* min; 0: never */
extern int	rf_soft_bounce_limit;	/* 0: none */

/* reload: lookups that are paid for in batches */
extern int	rf_batch_give_up;	/* s */
extern int	rf_verify_max_wait; /* ms */
extern int	rf_verify_max_batch;
extern int	rf_verify_poll_interval;	/* ms */
extern int	rf_verify_valid_age;	/* min */
extern int	rf_verify_invalid_age;	/* min */
extern int	rf_verify_risky_age;	/* min */

/* reload: how long things are kept */
extern int	rf_attempt_retention;	/* min */
extern int	rf_dead_letter_retention;	/* min */
extern int	rf_message_retention;	/* min */
extern int	rf_idempotency_retention;	/* min */
extern int	rf_webhook_retention;	/* min */
extern int	rf_webhook_body_retention;	/* min */
extern int	rf_result_ttl;		/* min */
extern int	rf_person_fresh;	/* min */
extern int	rf_enrich_max_wait; /* ms */

/* session */
extern int	rf_search_fresh;	/* min */
extern int	rf_search_stale;	/* min */

typedef enum RfSendInTransaction
{
	RF_SEND_QUEUE,
	RF_SEND_ERROR
} RfSendInTransaction;

extern int	rf_send_in_transaction; /* RfSendInTransaction */

/* Called where the postmaster has read another mode. */
extern void (*rf_mode_of_server_changed) (int mode);

extern void rf_settings_define(void);

#endif							/* ROLEFERRY_SETTINGS_H */
