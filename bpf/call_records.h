/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the part `calls` writes into its ring. The Python side is sensors/parts/calls*.py. */
#ifndef DEODAR_CALL_RECORDS_H
#define DEODAR_CALL_RECORDS_H

#include "head.h"

/* 32 to 39 are of memory, processes and the kernel; 40 to 55 of sockets, terminals and pipes. */
enum call_kind {
	RECORD_MEMFD = RECORD_CALLS,
};

struct memfd_record {
	struct record_head head;
	u64 ino;
	u32 flags; /* of memfd_create */
	u32 reserved;
	char name[NAME_BYTES]; /* "memfd:" and what its maker called it */
};

#endif
