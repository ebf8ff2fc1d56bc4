/*-------------------------------------------------------------------------
 *
 * circuits.h
 *	  Forced circuits, and the record of what circuits do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CIRCUITS_H
#define ROLEFERRY_CIRCUITS_H

/* Do what the table forced_circuit says.  In a transaction. */
extern void rf_circuits_refresh(void);

/* Write down what changed since; in a transaction of its own, if anything did. */
extern void rf_circuits_flush(void);

#endif							/* ROLEFERRY_CIRCUITS_H */
