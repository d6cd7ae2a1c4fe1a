/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files through descriptors: made, opened for writing, written to, closed; devices; memory. */
#ifndef DEODAR_FILES_OPENED_H
#define DEODAR_FILES_OPENED_H

#include "files_report.h"
#include "files_calls.h"
#include "pids.h"

#define FMODE_WRITE 0x2
#define FMODE_CREATED 0x100000
#define O_TRUNC 01000
#define O_PATH 010000000

#define PROC_MAGIC 0x9fa0
#define MAJOR(device) ((device) >> 20)
#define MINOR(device) ((device) & 0xfffff)
#define MEM_MAJOR 1
#define WORD(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)

/* File systems that hold no files: what is written there is an order to the kernel, or a stream. */
static __noinline bool holds_no_files(u32 magic)
{
	switch (magic) {
	case PROC_MAGIC:
	case 0x62656572: /* sysfs */
	case 0x0027e0eb: /* cgroup */
	case 0x63677270: /* cgroup2 */
	case 0x64626720: /* debugfs */
	case 0x74726163: /* tracefs */
	case 0x50495045: /* pipefs */
	case 0x534f434b: /* sockfs */
	case 0x09041934: /* anonymous inodes */
	case 0x00001cd1: /* devpts */
	case 0xcafe4a11: /* bpf */
	case 0x73636673: /* securityfs */
	case 0xf97cff8c: /* selinuxfs */
	case 0x6e736673: /* namespaces */
	case 0x19800202: /* mqueue */
		return true;
	}
	return false;
}

/* The end of what a descriptor led to, if anybody waits for it. */
static __noinline void on_close(struct workspace *space, struct task_struct *task, u32 fd)
{
	struct opened key = { .pid = task->tgid, .fd = fd };
	struct written *entry = bpf_map_lookup_elem(&written, &key);
	struct inode *inode;

	if (!entry)
		return;
	inode = (struct inode *)entry->inode;
	if (entry->told) {
		struct file_record *record = &space->record;

		set_head(&record->head, RECORD_FILE_CLOSED, task);
		record->head.time = bpf_ktime_get_boot_ns();
		record->operation = record->open_flags = record->target_pid = record->device = 0;
		record->target_start = record->path_bytes = record->previous_bytes = 0;
		record->reserved = record->path_bits = 0;
		/* Nobody holds the inode for us: it is believed while it says what it is. */
		put_inode(record, inode);
		if (record->ino != entry->ino || record->dev != entry->dev) {
			put_no_inode(record, 0);
			record->ino = entry->ino;
			record->dev = entry->dev;
		}
		bpf_ringbuf_output(&ring, record, __builtin_offsetof(struct file_record, payload),
				   wake_flags(RECORD_FILE_CLOSED));
		count(RECORD_FILE_CLOSED, 0); /* only a hint: without it the reader looks later */
	}
	bpf_map_delete_elem(&written, &key);
}

/* Report a file that is open for writing, once until it is closed. */
static __noinline void report_writing(struct workspace *space, struct task_struct *task, u32 fd)
{
	struct deed *deed = &space->deed;
	struct opened key = { .pid = task->tgid, .fd = fd };
	struct written *known = bpf_map_lookup_elem(&written, &key);
	struct file *file = deed->file;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct written entry = { .file = (u64)file, .inode = (u64)inode, .told = 1 };

	if (known && known->file == entry.file)
		return;
	entry.ino = BPF_CORE_READ(inode, i_ino);
	entry.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	if (bpf_map_update_elem(&written, &key, &entry, known ? BPF_ANY : BPF_NOEXIST))
		return; /* another thread is faster */
	deed->flags |= WILL_CLOSE;
	if (report(space))
		return;
	known = bpf_map_lookup_elem(&written, &key);
	if (known)
		known->told = 0;
}

/* Something was written through a descriptor. */
static __noinline void on_write(struct workspace *space, struct task_struct *task, u32 fd)
{
	struct file *file = file_of(fd);
	struct deed *deed;
	struct inode *inode;

	if (!file)
		return;
	inode = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return;
	if (holds_no_files(BPF_CORE_READ(inode, i_sb, s_magic)) || !BPF_CORE_READ(inode, i_nlink))
		return;
	deed = begin(space, RECORD_FILE_CHANGE);
	deed->operation = FILE_MODIFY;
	deed->file = file;
	deed->open_flags = BPF_CORE_READ(file, f_flags);
	report_writing(space, task, fd);
}

/* A device that leads to a disk, or to the host's memory, past the file systems. */
static __always_inline void on_device(struct workspace *space, struct task_struct *task, u32 mode,
				      u32 device)
{
	struct deed *deed = &space->deed;
	struct sighting sighting = {};
	u32 major = MAJOR(device);

	if ((mode & S_IFMT) == S_IFCHR) {
		u32 minor = MINOR(device);

		if (major == MEM_MAJOR ? minor != 1 && minor != 2 && minor != 4 :
					 !bpf_map_lookup_elem(&raw_majors, &major))
			return;
	}
	deed->kind = RECORD_DEVICE;
	deed->device = device;
	sighting.who = task->group_leader->start_boottime;
	sighting.who_dev = task->tgid;
	sighting.what = device | (u64)(mode & S_IFMT) << 32;
	sighting.what_dev = deed->open_flags & 3;
	if (is_news(&sighting))
		report(space);
}

/* /proc/PID/mem of another process, and /proc/kcore. */
static __noinline void on_proc_file(struct workspace *space, struct task_struct *task,
				    struct inode *inode)
{
	struct deed *deed = &space->deed;
	struct sighting sighting = {};
	struct file *file = deed->file;
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	const u8 *text = BPF_CORE_READ(dentry, d_name.name);
	struct task_struct *target;
	struct pid *pid;
	u32 word[2] = {};

	bpf_probe_read_kernel_str(word, sizeof(word), text);
	sighting.who = task->group_leader->start_boottime;
	sighting.who_dev = task->tgid;
	sighting.what_dev = deed->flags & WRITABLE;
	if (word[0] == WORD('k', 'c', 'o', 'r') && word[1] == 'e') {
		deed->kind = RECORD_DEVICE;
	} else if (word[0] == WORD('m', 'e', 'm', 0)) {
		deed->kind = RECORD_PROC_MEM;
		pid = BPF_CORE_READ((struct proc_inode *)((void *)inode -
			bpf_core_field_offset(struct proc_inode, vfs_inode)), pid);
		target = task_of(pid);
		if (!target) /* it has ended */
			return;
		deed->target_pid = BPF_CORE_READ(target, tgid);
		deed->target_start = BPF_CORE_READ(target, group_leader, start_boottime);
		if (deed->target_pid == (u32)task->tgid)
			return;
		sighting.what = deed->target_start ^ (u64)deed->target_pid << 32;
	} else {
		return;
	}
	if (is_news(&sighting))
		report(space);
}

/* A file was opened. */
static __noinline void on_open(struct workspace *space, struct task_struct *task, u32 flags)
{
	u32 fd = space->call.result;
	struct file *file = file_of(fd);
	struct deed *deed;
	struct inode *inode;
	u32 mode, how, magic;

	if (!file || flags & O_PATH)
		return;
	how = BPF_CORE_READ(file, f_mode);
	inode = BPF_CORE_READ(file, f_inode);
	mode = BPF_CORE_READ(inode, i_mode);
	deed = begin(space, RECORD_FILE_CHANGE);
	deed->open_flags = flags;
	deed->file = file;
	if (how & FMODE_WRITE)
		deed->flags = WRITABLE;
	if ((mode & S_IFMT) == S_IFBLK || (mode & S_IFMT) == S_IFCHR)
		on_device(space, task, mode, BPF_CORE_READ(inode, i_rdev));
	if ((mode & S_IFMT) != S_IFREG)
		return;
	magic = BPF_CORE_READ(inode, i_sb, s_magic);
	if (magic == PROC_MAGIC)
		on_proc_file(space, task, inode);
	if (!(how & (FMODE_WRITE | FMODE_CREATED)) || holds_no_files(magic))
		return;
	on_close(space, task, fd); /* what was there before, should its end not have been seen */
	if (!BPF_CORE_READ(inode, i_nlink))
		return;
	deed->operation = how & FMODE_CREATED ? FILE_CREATE : FILE_MODIFY;
	if (!(how & FMODE_WRITE))
		report(space);
	else if (how & FMODE_CREATED || flags & O_TRUNC)
		report_writing(space, task, fd);
}

#endif
