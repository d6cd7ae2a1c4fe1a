/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What all records have in common. Each part's records are in a header of its own; the build writes
 * every offset into the blob's manifest, and a test holds it together with the Python side.
 *
 * No field may leave a hole: a hole would carry kernel memory to user space.
 */
#ifndef DEODAR_HEAD_H
#define DEODAR_HEAD_H

#include "kernel.h"

/* Numbers of all parts, for none may mean two things. */
enum record_kind {
	RECORD_EXEC = 1,
	RECORD_FORK,
	RECORD_EXIT,
	RECORD_CONNECTION,
	RECORD_LISTEN,
	/* the part `files` */
	RECORD_FILES = 16,
	/* the part `calls` */
	RECORD_CALLS = 32,
	/* the part `pam` */
	RECORD_PAM = 56,
	/* the part `modules` */
	RECORD_MODULES = 60,
	/* the part `groups` */
	RECORD_GROUP = 62,
	MOST_RECORD_KINDS = 64,
};

#define NAME_BYTES 256 /* one file name with its NUL */
#define PATH_BYTES 4096 /* a path walk stops past this */
#define PATH_STEPS 256
#define QUICK_STEPS 6
#define PATHS_BYTES 16384 /* room for all paths of a record */

struct record_head {
	u16 kind;
	u16 flags;
	u32 pid;
	u64 start; /* ns, boot time clock */
	u64 time; /* ns, boot time clock */
};

#endif
