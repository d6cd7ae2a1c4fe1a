/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the part `files` writes into its ring. The Python side is parts/files_record.py. */
#ifndef DEODAR_FILES_RECORDS_H
#define DEODAR_FILES_RECORDS_H

#include "head.h"

enum file_record_kind {
	RECORD_FILE_CHANGE = RECORD_FILES,
	RECORD_FILE_CLOSED,
	RECORD_LIBRARY,
	RECORD_DEVICE,
	RECORD_PROC_MEM,
};

/* The numbers of the field FileOperationType. */
enum file_operation {
	FILE_CREATE = 1,
	FILE_MODIFY,
	FILE_RENAME,
	FILE_ATTRIBUTES,
	FILE_DELETE,
	FILE_OPERATIONS = 8, /* room for counts of each */
};

enum file_flags {
	PATH_FROM_PROCESS = 1, /* the path is what the process passed, put behind its folder's */
	PATH_TRUNCATED = 2, /* its first folders are missing */
	PREVIOUS_TRUNCATED = 4,
	WILL_CLOSE = 8, /* a FILE_CLOSED of this file may follow */
	FILE_UNLINKED = 16, /* the file has no name in any folder */
	WRITABLE = 32, /* opened for writing */
};

#define FILE_PATH_BYTES 4096
#define FILE_PAYLOAD_BYTES 32768
#define PREFIX_BYTES 128

struct file_record {
	struct record_head head;
	u32 operation;
	u32 mode; /* of the file, as in st_mode; 0 when not known */
	u32 open_flags;
	u32 dev; /* of its file system; 0 when not known */
	u64 ino;
	s64 size;
	s64 mtime, ctime; /* ns since the epoch */
	u64 target_start; /* PROC_MEM: the process whose memory it is */
	u32 target_pid;
	u32 device; /* DEVICE: its own number */
	u32 path_bytes, previous_bytes;
	u32 reserved;
	u32 path_bits; /* for the look-up of prefixes, which wants it before the path */
	/* path; in a rename then four unused bytes and the path before; none ends with NUL */
	u8 payload[FILE_PAYLOAD_BYTES];
};

#endif
