/*-------------------------------------------------------------------------
 *
 * owner.h
 *	  Acting as the extension's owner, or as a handler's role, for a moment.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_OWNER_H
#define ROLEFERRY_OWNER_H

#include "postgres_ext.h"

typedef struct RfActing
{
	Oid			userid;
	int			context;
	int			guc_level;
} RfActing;

/*
 * As the owner of the function that is called, with a search_path in which no
 * name of anybody else's is found.  An error takes all of it back.
 */
extern void rf_acting_begin_owner(RfActing *acting, Oid function);

/*
 * As a role, with the search_path it would have in a session of its own.  What
 * it sets ends with it.
 */
extern void rf_acting_begin_role(RfActing *acting, Oid role);

extern void rf_acting_end(const RfActing *acting);

#endif							/* ROLEFERRY_OWNER_H */
