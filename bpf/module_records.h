/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the part `modules` writes into its ring. The Python side is sensors/parts/modules.py. */
#ifndef DEODAR_MODULE_RECORDS_H
#define DEODAR_MODULE_RECORDS_H

#include "head.h"

enum module_operation { /* of the part `calls` too */
	MODULE_LOAD = 1,
	MODULE_UNLOAD,
};

#define MODULE_FROM_MEMORY 1 /* flag: its file is one that the loader had open, no more */
#define MODULE_NAME_BYTES 64

struct module_seen_record {
	struct record_head head;
	u64 taints; /* bits, as in /proc/sys/kernel/tainted */
	u32 operation;
	u32 reserved;
	char name[MODULE_NAME_BYTES];
};

#endif
