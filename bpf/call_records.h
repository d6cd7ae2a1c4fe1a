/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the part `calls` writes into its ring. The Python side is sensors/parts/calls*.py. */
#ifndef DEODAR_CALL_RECORDS_H
#define DEODAR_CALL_RECORDS_H

#include "head.h"

/* 32 to 39 are of memory, processes and the kernel; 40 to 55 of sockets, terminals and pipes. */
enum call_kind {
	RECORD_MEMFD = RECORD_CALLS,
	RECORD_ACCESS,
};

/* How a process reached into another; from WAY_PTRACE_POKE on it changed something. */
enum way {
	WAY_PTRACE_ATTACH = 1,
	WAY_PTRACE_SEIZE,
	WAY_VM_READ,
	WAY_PIDFD_GETFD,
	WAY_PTRACE_POKE,
	WAY_PTRACE_REGISTERS,
	WAY_VM_WRITE,
};

struct access_record {
	struct record_head head;
	u64 target_start;
	u64 bytes; /* of all calls together */
	u32 target; /* process number; as the caller knows it when there is no start */
	u32 way;
	u32 calls; /* how many calls this record stands for */
	u32 reserved;
};

struct memfd_record {
	struct record_head head;
	u64 ino;
	u32 flags; /* of memfd_create */
	u32 reserved;
	char name[NAME_BYTES]; /* "memfd:" and what its maker called it */
};

#endif
