/*-------------------------------------------------------------------------
 *
 * server_mode.h
 *	  roleferry.mode: the server's, the session's, and what new jobs carry.
 *
 * The setting has one name and two meanings.  What the configuration file says
 * is the server's mode; the postmaster, which no role's or database's settings
 * reach, puts it into shared memory, where everybody reads it.  What a session,
 * its role or its database chose besides can only be stricter.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SERVER_MODE_H
#define ROLEFERRY_SERVER_MODE_H

#include "core/mode.h"

/* Of the whole server; what the dispatcher goes by. */
extern RfMode rf_server_mode(void);

/* What holds in this session. */
extern RfMode rf_session_mode(void);

/* What a job enqueued now carries.  Raises 55000 where this session is off. */
extern RfMode rf_mode_for_new_job(void);

/* The same for what follows from something else: never raises. */
extern RfMode rf_mode_to_follow(void);

/* Raises 55000 where nobody may be asked now, for what somebody waits for. */
extern void rf_mode_require_live(void);

/*
 * An executor runs a job of this mode: what that enqueues is no looser.  Until
 * it is set again.
 */
extern void rf_mode_set_floor(RfMode mode);

#endif							/* ROLEFERRY_SERVER_MODE_H */
