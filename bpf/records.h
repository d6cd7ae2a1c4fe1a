/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the core part writes into its ring. The Python side is deodar/agent/sensors/decode.py. */
#ifndef DEODAR_RECORDS_H
#define DEODAR_RECORDS_H

#include "head.h"

enum record_flags {
	ARGV_TRUNCATED = 1,
	EXE_TRUNCATED = 2, /* the path's first folders are missing */
	CWD_TRUNCATED = 4,
	NO_FILE = 8, /* the program's inode could not be read */
	IN_MEMORY = 16, /* the program's file is on no disk, and has no name */
};

enum direction {
	OUTBOUND = 1,
	OUTBOUND_FAILED,
	INBOUND,
};

#define TTY_BYTES 24
#define COMM_BYTES 16
#define FILENAME_BYTES 4096
#define ARGV_BYTES 32768

struct exec_record {
	struct record_head head;
	u64 parent_start;
	u32 parent_pid;
	u32 uid, gid, euid, egid, suid;
	u32 login_uid, session_id;
	u32 mount_ns, pid_ns;
	u32 dev;
	u32 links;
	u64 ino;
	s64 size;
	s64 mtime, ctime; /* ns since the epoch */
	u64 cgroup;
	u64 caps;
	u32 mode;
	u32 argv_bytes; /* in this record */
	u16 filename_bytes, exe_bytes, cwd_bytes, reserved;
	char comm[COMM_BYTES];
	char tty[TTY_BYTES];
	/* filename NUL, names of exe leaf first, names of cwd leaf first, argv; all NUL-ended */
	u8 payload[PATHS_BYTES + ARGV_BYTES];
};

struct fork_record {
	struct record_head head; /* the child; time is its start */
	u64 parent_start;
	u32 parent_pid;
	u32 uid, gid, euid, egid;
	u32 login_uid, session_id;
	u32 reserved;
	char comm[COMM_BYTES];
};

struct exit_record {
	struct record_head head;
	u32 status; /* as wait(2) gives it */
	u32 reserved;
};

struct socket_record {
	struct record_head head;
	u32 uid;
	u16 direction; /* 0 for LISTEN */
	u16 family;
	u16 protocol;
	u16 local_port, remote_port;
	u16 error; /* number of errno.h of a failed connect, 0 when not known */
	u8 local[16], remote[16]; /* IPv4 in the first four bytes */
};

#endif
