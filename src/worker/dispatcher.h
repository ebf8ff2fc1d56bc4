/*-------------------------------------------------------------------------
 *
 * dispatcher.h
 *	  The process that carries a database's jobs to the providers.
 *
 * Vocabulary, used everywhere: a *job* is a row of the outbox; to *claim* it
 * is to make it ours, durably, before the first byte leaves; a *transfer* is
 * one HTTP request; to *settle* is to write what became of the job; an
 * *outcome* is one of the classes of core/outcome.h; an *account* is a
 * foreign server of the wrapper; a *strand* is one lane at one priority; a
 * *turn* is one pass of the dispatcher's loop; an *incarnation* is the
 * dispatcher's liveness token.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_DISPATCHER_H
#define ROLEFERRY_DISPATCHER_H

#define RF_DISPATCHER_TYPE "roleferry dispatcher"

extern PGDLLEXPORT void rf_dispatcher_main(Datum arg);

#endif							/* ROLEFERRY_DISPATCHER_H */
