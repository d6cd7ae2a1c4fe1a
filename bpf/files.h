/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of the part `files`; user space sets max_entries of `scratch` at load. */
#ifndef DEODAR_FILES_H
#define DEODAR_FILES_H

#include "files_records.h"
#include "common.h"
#include "files_calls.h"

struct repeats {
	u64 counts[FILE_OPERATIONS];
	u64 first, last; /* ns, boot time clock */
	u32 path_bytes;
	u32 reserved;
	u8 path[PREFIX_BYTES]; /* the beginning of the first one's path */
};

/* Something that a process did. Either `file` leads to the path, or `text` in `folder` is it. */
struct deed {
	u16 kind;
	u16 flags;
	u32 operation;
	struct file *file;
	u64 text, previous; /* user addresses */
	s32 folder, previous_folder;
	u32 mode;
	u32 open_flags;
	u64 target_start;
	u32 target_pid;
	u32 device;
};

/* What does not fit on the stack: with all its functions a program has 512 bytes of it. */
struct workspace {
	struct call call;
	struct deed deed;
	struct file_record record;
	struct repeats none;
	u8 names[FILE_PATH_BYTES + NAME_BYTES]; /* a path grows here from its end */
};

/* One per CPU, for one program: it is never entered twice on one CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct workspace);
} scratch SEC(".maps");

struct opened {
	u32 pid;
	u32 fd;
};

struct written {
	u64 file; /* address of the open file: a descriptor is used again */
	u64 inode;
	u64 ino;
	u32 dev;
	u32 told; /* the reader waits for its end */
};

/* Files that a process has made, or written to, through a descriptor that is still open. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct opened);
	__type(value, struct written);
} written SEC(".maps");

enum prefix_flags {
	PREFIX_EXCLUDED = 1, /* changes are not reported */
	PREFIX_IMPORTANT = 2, /* changes are reported one by one, however many they are */
};

struct prefix {
	u32 bits;
	u8 path[PREFIX_BYTES];
};

/* What is wanted below which folder; the longest prefix decides. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, u32);
} prefixes SEC(".maps");

struct policy {
	u64 interval; /* ns between changes of one process, on average; 0 for no limit */
	u64 burst; /* ns that a process may be ahead of that */
	u64 again; /* ns after which the same library, device or memory is reported again */
	u32 generation; /* of the counts that are added to; 0 or 1 */
	u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct policy);
} policy SEC(".maps");

/* When a process would have made its changes at the allowed rate (ns, boot time clock). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct owner);
	__type(value, u64);
} budgets SEC(".maps");

/*
 * What is only counted, by process and generation (in `reserved`). The key without pid is for all
 * that found no room: nothing is ever thrown out, for then counts would be lost.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct owner);
	__type(value, struct repeats);
} counted SEC(".maps");

struct sighting {
	u64 who; /* a program's inode, or a process's start */
	u64 what;
	u32 who_dev, what_dev; /* or pid and way */
};

/* Libraries, devices and memory that were reported, and when. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sighting);
	__type(value, u64);
} seen SEC(".maps");

/* Major numbers of character devices that lead to disks past the file systems. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u32);
} raw_majors SEC(".maps");

#endif
