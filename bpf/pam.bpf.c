// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The part `pam`: logons, their failures and their ends, from libpam itself.
 *
 * Its programs are attached to functions of the library's file: whatever program calls them is seen,
 * however it was started and wherever it logs. Needs CONFIG_UPROBE_EVENTS; no tracefs. Since Linux 6.6
 * one link serves all functions (the loader changes the type of attachment for it); before, it takes a
 * perf event for each.
 */
#include "pam.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
