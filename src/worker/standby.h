/*-------------------------------------------------------------------------
 *
 * standby.h
 *	  A claim's wait for synchronous standbys, which may be gone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STANDBY_H
#define ROLEFERRY_STANDBY_H

/* Do claims wait for standbys, as this process knows the settings? */
extern bool rf_standby_is_waited_for(void);

/*
 * Around the commit of a claim.  In between, a wait for standbys ends when
 * this process is to leave; rf_standby_end_wait() says whether they have the
 * claim, whatever ended the wait.  False: committed here, and nowhere else.
 */
extern void rf_standby_begin_wait(void);
extern bool rf_standby_end_wait(bool committed);

/*
 * Has a claim been given up because standbys did not have it, and do they
 * still not?  Then it is too early for another.
 */
extern bool rf_standby_is_behind(void);

#endif							/* ROLEFERRY_STANDBY_H */
