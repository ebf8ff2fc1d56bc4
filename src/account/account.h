/*-------------------------------------------------------------------------
 *
 * account.h
 *	  Accounts: foreign servers of the wrapper "roleferry".
 *
 * Every process keeps its own list, rebuilt after an invalidation of
 * pg_foreign_server or pg_foreign_data_wrapper.  Reading it needs a
 * transaction.  Secrets are not here: see secret.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ACCOUNT_H
#define ROLEFERRY_ACCOUNT_H

#include "nodes/pg_list.h"
#include "provider/provider.h"

typedef struct RfAccount
{
	Oid			serverid;
	char	   *name;
	const RfProvider *provider;
	char	   *base_url;		/* option, or NULL */
	char	   *region;			/* option, or NULL */
	char	   *domain;			/* option, or NULL */
	char	   *dialect;		/* option, or NULL */
	char	   *secret_name;	/* option, or NULL */
	char	   *quota_group;	/* option, or NULL */
	int			max_in_flight;	/* option, or 0: only the server's setting
								 * bounds it */
	int			cost_per_call;	/* option, or 0: credits of a request of which
								 * nothing better is known */
} RfAccount;

/* All accounts of this database, by name.  Valid until the next call. */
extern List *rf_account_list(void);

/* Do they count in the same windows?  Of one provider and one quota_group. */
extern bool rf_account_shares(const RfAccount *account, const RfAccount *other);

/* One account; NULL when there is none of that name.  Valid as above. */
extern RfAccount *rf_account_by_name(const char *name);

/* Bumped whenever the list was rebuilt: cached copies compare. */
extern uint64 rf_account_generation(void);

/* Does the role hold USAGE on the server? */
extern bool rf_account_usable(const RfAccount *account, Oid roleid);

#endif							/* ROLEFERRY_ACCOUNT_H */
