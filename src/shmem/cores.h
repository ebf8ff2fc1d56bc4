/*-------------------------------------------------------------------------
 *
 * cores.h
 *	  How many cores this process may run on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CORES_H
#define ROLEFERRY_CORES_H

extern int	rf_cores(void);

#endif							/* ROLEFERRY_CORES_H */
