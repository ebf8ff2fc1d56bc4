/*-------------------------------------------------------------------------
 *
 * search_job.h
 *	  Searches of people: who is asked, and what a job must satisfy.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SEARCH_JOB_H
#define ROLEFERRY_SEARCH_JOB_H

#include "outbox/job.h"
#include "provider/provider.h"

/* Outlives the list of accounts it was taken from. */
typedef struct RfSearchAccount
{
	Oid			server;
	char	   *name;
	const RfProvider *provider;
} RfSearchAccount;

/*
 * In order: the one that is named, or those of roleferry.search_accounts, or all
 * by name; of these those that the role may use.  One whose searches cost
 * credits is not asked unless it is named somewhere.  NIL: see *problem.
 */
extern List *rf_search_choose(const char *named, Oid roleid, RfJobProblem *problem);

/* The args, and the accounts in order; fills draft->accounts. */
extern bool rf_search_job_check(RfJobDraft *draft, RfJobProblem *problem);

#endif							/* ROLEFERRY_SEARCH_JOB_H */
