/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process began to run a program: everything about it that can be read at that moment. */
#ifndef DEODAR_EXEC_H
#define DEODAR_EXEC_H

#include "core.h"
#include "paths.h"
#include "pids.h"

#define NS_OF(time) ((time).tv_sec * 1000000000LL + (time).tv_nsec)

static __always_inline s64 seconds_ns(s64 seconds, u32 ns)
{
	return seconds * 1000000000LL + (ns & 0x3fffffff); /* bit 31 of ctime is the kernel's own */
}

static __always_inline void put_times(struct exec_record *record, struct inode *inode)
{
	struct inode___2024 *latest = (void *)inode;
	struct inode___2023 *newer = (void *)inode;
	struct inode___ctime *between = (void *)inode;
	struct inode___old *old = (void *)inode;

	if (bpf_core_field_exists(latest->i_mtime_sec)) {
		record->mtime = seconds_ns(latest->i_mtime_sec, latest->i_mtime_nsec);
		record->ctime = seconds_ns(latest->i_ctime_sec, latest->i_ctime_nsec);
	} else if (bpf_core_field_exists(newer->__i_mtime)) {
		record->mtime = NS_OF(newer->__i_mtime);
		record->ctime = NS_OF(newer->__i_ctime);
	} else if (bpf_core_field_exists(between->__i_ctime)) {
		record->mtime = NS_OF(between->i_mtime);
		record->ctime = NS_OF(between->__i_ctime);
	} else {
		record->mtime = NS_OF(old->i_mtime);
		record->ctime = NS_OF(old->i_ctime);
	}
}

#define TMPFS_MAGIC 0x01021994 /* memory files too */
#define RAMFS_MAGIC 0x858458f6
#define HUGETLBFS_MAGIC 0x958458f6

static __always_inline bool is_in_memory(struct inode *inode)
{
	unsigned long magic = inode->i_sb->s_magic;

	return magic == TMPFS_MAGIC || magic == RAMFS_MAGIC || magic == HUGETLBFS_MAGIC;
}

static __always_inline void put_file(struct exec_record *record, struct inode *inode)
{
	record->dev = inode->i_sb->s_dev;
	record->ino = inode->i_ino;
	record->size = inode->i_size;
	record->links = inode->i_nlink;
	record->mode = inode->i_mode;
	if (!inode->i_nlink && is_in_memory(inode))
		record->head.flags |= IN_MEMORY;
	put_times(record, inode);
}

static __always_inline void put_task(struct exec_record *record, struct task_struct *task)
{
	const struct cred *cred = task->cred;
	struct task_struct *parent = task->real_parent;
	struct tty_struct *tty = task->signal->tty;

	record->parent_pid = parent->tgid;
	record->parent_start = parent->group_leader->start_boottime;
	record->uid = cred->uid.val;
	record->gid = cred->gid.val;
	record->euid = cred->euid.val;
	record->egid = cred->egid.val;
	record->suid = cred->suid.val;
	bpf_core_read(&record->caps, sizeof(record->caps), &cred->cap_effective);
	record->login_uid = login_uid(task);
	record->session_id = session_id(task);
	record->mount_ns = task->nsproxy->mnt_ns->ns.inum;
	record->pid_ns = BPF_CORE_READ(pid_namespace_of(task), ns.inum);
	record->cgroup = bpf_get_current_cgroup_id();
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	record->tty[0] = 0;
	if (tty)
		bpf_core_read_str(record->tty, sizeof(record->tty), &tty->name);
}

/* Copy the arguments behind the paths; returns how many bytes. */
static __always_inline u32 put_argv(struct exec_record *record, struct mm_struct *mm, u32 at)
{
	unsigned long start = mm->arg_start;
	unsigned long bytes = mm->arg_end - start;

	if (bytes > ARGV_BYTES - 1) {
		bytes = ARGV_BYTES - 1;
		record->head.flags |= ARGV_TRUNCATED;
	}
	bytes &= ARGV_BYTES - 1;
	if (bpf_probe_read_user(record->payload + (at & (PATHS_BYTES - 1)), bytes, (void *)start)) {
		record->head.flags |= ARGV_TRUNCATED;
		return 0;
	}
	return bytes;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(deodar_exec, struct task_struct *task, s32 old_pid, struct linux_binprm *bprm)
{
	struct walk walk = { .cpu = bpf_get_smp_processor_id() };
	struct exec_record *record = bpf_map_lookup_elem(&scratch, &walk.cpu);
	u32 begin, bytes;
	long length;

	if (!record)
		return 0;
	set_head(&record->head, RECORD_EXEC, task);
	record->head.time = bpf_ktime_get_boot_ns();
	put_task(record, task);
	put_file(record, bprm->file->f_inode);
	length = bpf_probe_read_kernel_str(record->payload, FILENAME_BYTES, bprm->filename);
	walk.at = length > 0 ? length & (2 * FILENAME_BYTES - 1) : 0;
	record->filename_bytes = walk.at;
	begin = walk.at;
	put_path(&walk, record, &bprm->file->f_path);
	record->exe_bytes = walk.at - begin;
	if (!walk.done)
		record->head.flags |= EXE_TRUNCATED;
	begin = walk.at;
	put_path(&walk, record, &task->fs->pwd);
	record->cwd_bytes = walk.at - begin;
	if (!walk.done)
		record->head.flags |= CWD_TRUNCATED;
	record->argv_bytes = put_argv(record, task->mm, walk.at);
	bytes = (walk.at & (PATHS_BYTES - 1)) + (record->argv_bytes & (ARGV_BYTES - 1));
	bytes += __builtin_offsetof(struct exec_record, payload);
	count(RECORD_EXEC,
	      bpf_ringbuf_output(&ring, record, bytes, wake_flags(RECORD_EXEC)));
	return 0;
}

#endif
