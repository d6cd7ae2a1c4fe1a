/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the part `calls` writes into its ring. The Python side is sensors/parts/calls*.py. */
#ifndef DEODAR_CALL_RECORDS_H
#define DEODAR_CALL_RECORDS_H

#include "head.h"
#include "module_records.h"
#include "net_records.h"

/* 32 to 39 are of memory, processes, the kernel; 40 to 55 of sockets, terminals and pipes. */
enum call_kind {
	RECORD_MEMFD = RECORD_CALLS,
	RECORD_ACCESS,
	RECORD_MODULE,
	RECORD_BPF,
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
	u32 target; /* process number; 0 when not known */
	u32 way;
	u32 calls; /* how many calls this record stands for */
	u32 reserved;
};

struct memfd_record {
	struct record_head head;
	u64 ino;
	u32 flags; /* of memfd_create */
	u32 files; /* how many of that name this record stands for */
	char name[NAME_BYTES]; /* "memfd:" and what its maker called it */
};

struct module_record {
	struct record_head head;
	u64 ino; /* of its file; 0 when it was loaded from memory */
	s64 size, mtime, ctime;
	u32 dev;
	u32 mode;
	u16 operation;
	u16 path_bytes;
	u32 path_cut; /* 1: the path's first folders are missing */
	char name[MODULE_NAME_BYTES]; /* of one that is unloaded */
	u8 payload[PATHS_BYTES + NAME_BYTES]; /* names of the file's path leaf first, NUL-ended */
};

/* What came into the kernel, and so what `type` is a type of. */
enum bpf_command {
	BPF_PROGRAM = 1,
	BPF_MAP,
	BPF_LINK, /* type of the link */
	BPF_ATTACHMENT, /* type of the attachment */
	BPF_PERF_EVENT, /* type of the program, as in those below */
	BPF_SOCKET,
};

#define BPF_NAME_BYTES 16
#define BPF_TARGET_BYTES 64

struct bpf_record {
	struct record_head head;
	u32 command;
	u32 type;
	u32 id; /* of the program or map */
	u32 reserved;
	char name[BPF_NAME_BYTES];
	char target[BPF_TARGET_BYTES]; /* the kernel's function that the program is made for */
};

#endif
