// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The part `pam`: logons, their failures and their ends, from libpam itself.
 *
 * Its programs are attached to functions of the library's file, by perf events: whatever program
 * calls them is seen, however it was started and wherever it logs. Needs CONFIG_UPROBES; no tracefs.
 */
#include "pam.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
