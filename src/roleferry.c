/*-------------------------------------------------------------------------
 *
 * roleferry.c
 *	  Loading of the library: the order of initialisation, nothing else.
 *
 * IDENTIFICATION
 *	  src/roleferry.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "api/top_level.h"
#include "api/utility_hook.h"
#include "compat.h"
#include "settings.h"
#include "shmem/shared.h"
#include "worker/launcher.h"

RF_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/* pg_upgrade's servers run real background workers: they must not send. */
	if (IsBinaryUpgrade)
		return;

	/*
	 * Without preload only what needs no shared memory works; the rest says
	 * so.
	 */
	if (!process_shared_preload_libraries_in_progress)
		return;

	rf_settings_define();
	rf_shared_install_hooks();
	rf_utility_install_hook();
	rf_top_level_install_hooks();
	rf_launcher_register();
}
