/*-------------------------------------------------------------------------
 *
 * utility_hook.h
 *	  Commands that need a database without its dispatcher.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_UTILITY_HOOK_H
#define ROLEFERRY_UTILITY_HOOK_H

extern void rf_utility_install_hook(void);

#endif							/* ROLEFERRY_UTILITY_HOOK_H */
