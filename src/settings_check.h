/*-------------------------------------------------------------------------
 *
 * settings_check.h
 *	  What a configuration parameter's value must satisfy.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SETTINGS_CHECK_H
#define ROLEFERRY_SETTINGS_CHECK_H

#include "utils/guc.h"

extern bool rf_check_names(char **value, void **extra, GucSource source);
extern bool rf_check_dogstatsd(char **value, void **extra, GucSource source);
extern bool rf_check_address(char **value, void **extra, GucSource source);
extern bool rf_check_https_url(char **value, void **extra, GucSource source);
extern bool rf_check_mode(int *value, void **extra, GucSource source);
extern void rf_assign_mode(int value, void *extra);

#endif							/* ROLEFERRY_SETTINGS_CHECK_H */
