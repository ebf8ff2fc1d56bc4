/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  One process in the cluster that keeps a dispatcher running for each
 *	  database of roleferry.databases.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_LAUNCHER_H
#define ROLEFERRY_LAUNCHER_H

#include "postmaster/bgworker.h"

#define RF_LIBRARY "roleferry"

/* Called while the library is preloaded. */
extern void rf_launcher_register(void);

extern PGDLLEXPORT void rf_launcher_main(Datum arg);

#endif							/* ROLEFERRY_LAUNCHER_H */
