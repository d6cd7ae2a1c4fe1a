/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the part `groups` writes into its ring. */
#ifndef DEODAR_GROUP_RECORDS_H
#define DEODAR_GROUP_RECORDS_H

#include "head.h"

enum group_operation {
	GROUP_MADE = 1,
	GROUP_REMOVED,
	GROUP_POPULATED,
	GROUP_EMPTIED,
};

#define GROUP_PATH_BYTES 1024 /* a longer one is cut at its end */

struct group_record {
	struct record_head head; /* who did it; of a group that runs empty, its last process */
	u64 group; /* number of the group's folder */
	u16 operation;
	u16 path_bytes; /* with the NUL */
	u32 reserved;
	char path[GROUP_PATH_BYTES];
};

#endif
