// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The core tier: processes and TCP.
 *
 * Five records leave through one ring: exec, fork, exit, connection, listen. All that can be known
 * about a process is read here, at exec: a short process is gone before user space looks. Needs
 * tp_btf programs, CO-RE in the kernel and bpf_loop (Linux 5.17); no tracefs, no kprobes.
 */
#include "records.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- maps; user space sets max_entries of `ring` and `scratch` at load ---- */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

/* One record per CPU to build an exec in. A plain array: per-CPU ones end at 32 KB a value. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct exec_record);
} scratch SEC(".maps");

struct tally {
	u64 generated;
	u64 lost;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RECORD_KINDS);
	__type(key, u32);
	__type(value, struct tally);
} tallies SEC(".maps");

/* Shared with user space by mmap, so that neither side needs a system call. */
struct settings {
	u32 wake; /* user space is about to wait: the next exec should wake it */
	u32 own_pid; /* sockets of this process are not reported */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct owner {
	u64 start;
	u32 pid;
	u32 reserved;
};

/* Who called connect, by the socket's address, until the attempt ends. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct owner);
} connecting SEC(".maps");

struct endpoint {
	u32 net; /* inode number of the network namespace */
	u16 port;
	u16 reserved;
	u8 address[16]; /* IPv4 as mapped IPv6; all zero for any */
};

/* Who listens where; user space adds those that listened before it came. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct endpoint);
	__type(value, struct owner);
} listeners SEC(".maps");

/* Processes with threads whose exit was reported: two last threads can both see themselves last. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct owner);
	__type(value, u8);
} exited SEC(".maps");

/* ---- common parts ---- */

static __always_inline void count(u32 kind, long failed)
{
	struct tally *tally = bpf_map_lookup_elem(&tallies, &kind);

	if (!tally)
		return;
	tally->generated++;
	if (failed)
		tally->lost++;
}

static __always_inline void set_head(struct record_head *head, u16 kind, struct task_struct *task)
{
	head->kind = kind;
	head->flags = 0;
	head->pid = task->tgid;
	head->start = task->group_leader->start_boottime;
}

static __always_inline u32 login_uid(struct task_struct *task)
{
	return bpf_core_field_exists(task->loginuid) ? task->loginuid.val : ~0u;
}

static __always_inline u32 session_id(struct task_struct *task)
{
	return bpf_core_field_exists(task->sessionid) ? task->sessionid : ~0u;
}

static __always_inline u64 wake_flags(void)
{
	u32 zero = 0;
	struct settings *shared = bpf_map_lookup_elem(&settings, &zero);

	if (!shared || !shared->wake)
		return BPF_RB_NO_WAKEUP;
	shared->wake = 0; /* once per wait: waking costs more than all the rest */
	return BPF_RB_FORCE_WAKEUP;
}

/* ---- exec ---- */

struct walk {
	struct dentry *dentry;
	struct mount *mount;
	struct dentry *root; /* of the mount */
	u32 cpu;
	u32 at; /* where the next name goes in the payload */
	u32 limit;
	u32 done;
};

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* One name of a path, leaf first; or one step from a mount's root to where it is mounted. */
static long walk_step(u32 index, struct walk *walk)
{
	struct exec_record *record = bpf_map_lookup_elem(&scratch, &walk->cpu);
	struct dentry *dentry = walk->dentry;
	struct dentry *parent;
	const u8 *name;
	u32 at = walk->at;
	long length;

	if (!record || at >= walk->limit)
		return 1;
	if (dentry == walk->root) {
		struct mount *mount = walk->mount;
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount) {
			walk->done = 1;
			return 1;
		}
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = above;
		walk->root = BPF_CORE_READ(above, mnt.mnt_root);
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	name = BPF_CORE_READ(dentry, d_name.name);
	at &= PATHS_BYTES - 1;
	length = bpf_probe_read_kernel_str(record->payload + at, NAME_BYTES, name);
	if (length > 0)
		walk->at = at + length;
	walk->dentry = parent;
	if (parent == dentry) { /* in no folder: a memory file */
		walk->done = 1;
		return 1;
	}
	return 0;
}

/*
 * The first names of a path, without leaving its mount. Here the verifier knows what `dentry` is,
 * so that its fields are read by plain loads; that halves the cost of a usual path.
 */
static __always_inline void walk_quickly(struct walk *walk, struct exec_record *record,
					 struct path *path)
{
	struct dentry *dentry = path->dentry;
	struct dentry *root = path->mnt->mnt_root;
	u32 at = walk->at;

#pragma unroll
	for (int step = 0; step < QUICK_STEPS; step++) {
		struct dentry *parent = dentry->d_parent;
		long length;

		if (dentry == root || dentry == parent)
			break;
		at &= PATHS_BYTES - 1;
		length = bpf_probe_read_kernel_str(record->payload + at, NAME_BYTES,
						   dentry->d_name.name);
		if (length > 0)
			at += length;
		dentry = parent;
	}
	walk->dentry = dentry;
	walk->root = root;
	walk->at = at;
}

/* Append the names of a path to the payload; moves walk->at, sets walk->done if it is whole. */
static __always_inline void put_path(struct walk *walk, struct exec_record *record,
				     struct path *path)
{
	struct mount *mount = mount_of(path->mnt);

	walk_quickly(walk, record, path);
	walk->done = walk->dentry == walk->root && BPF_CORE_READ(mount, mnt_parent) == mount;
	if (walk->done)
		return;
	walk->mount = mount;
	walk->limit = walk->at + PATH_BYTES;
	bpf_loop(PATH_STEPS, walk_step, walk, 0);
}

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

static __always_inline void put_file(struct exec_record *record, struct inode *inode)
{
	record->dev = inode->i_sb->s_dev;
	record->ino = inode->i_ino;
	record->size = inode->i_size;
	record->links = inode->i_nlink;
	record->mode = inode->i_mode;
	put_times(record, inode);
}

static __always_inline u32 pid_namespace_of(struct task_struct *task)
{
	struct pid *pid = task->thread_pid;
	struct pid_namespace *ns;
	u32 level = pid->level;
	void *untyped;

	if (!level)
		return pid->numbers[0].ns->ns.inum;
	level &= 63; /* the kernel nests 32 deep */
	untyped = BPF_CORE_READ(task, thread_pid); /* a plain number: typed pointers do not add */
	bpf_core_read(&ns, sizeof(ns),
		      untyped + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid) +
			      bpf_core_field_offset(struct upid, ns));
	return BPF_CORE_READ(ns, ns.inum);
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
	record->pid_ns = pid_namespace_of(task);
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
	count(RECORD_EXEC, bpf_ringbuf_output(&ring, record, bytes, wake_flags()));
	return 0;
}

/* ---- fork and exit: whole processes only ---- */

SEC("tp_btf/sched_process_fork")
int BPF_PROG(deodar_fork, struct task_struct *current, struct task_struct *child)
{
	const struct cred *cred;
	struct task_struct *parent;
	struct fork_record *record;

	if (child->pid != child->tgid || child->flags & PF_KTHREAD)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	count(RECORD_FORK, !record);
	if (!record)
		return 0;
	cred = child->cred;
	parent = child->real_parent; /* not always `current`: CLONE_PARENT */
	set_head(&record->head, RECORD_FORK, child);
	record->head.time = record->head.start;
	record->parent_pid = parent->tgid;
	record->parent_start = parent->group_leader->start_boottime;
	record->uid = cred->uid.val;
	record->gid = cred->gid.val;
	record->euid = cred->euid.val;
	record->egid = cred->egid.val;
	record->login_uid = login_uid(child);
	record->session_id = session_id(child);
	record->reserved = 0;
	bpf_core_read(record->comm, sizeof(record->comm), &child->comm);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/*
 * Whether this thread is the one to report the process's end. `live` counts down before this
 * point, so two threads that leave together can both find it 0; the first one to enter the
 * process into `exited` reports. A process that never had a second thread needs no map:
 * nr_threads is 1, and no thread was ever reaped (its run time would have been added up).
 */
static __always_inline bool ends_process(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct owner key = {};
	u8 seen = 1;

	if (signal->live.counter)
		return false;
	if (signal->nr_threads == 1 && !signal->sum_sched_runtime)
		return true;
	key.pid = task->tgid;
	key.start = task->group_leader->start_boottime;
	return !bpf_map_update_elem(&exited, &key, &seen, BPF_NOEXIST);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(deodar_exit, struct task_struct *task)
{
	struct exit_record *record;
	struct signal_struct *signal = task->signal;

	if (task->flags & PF_KTHREAD || !ends_process(task))
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	count(RECORD_EXIT, !record);
	if (!record)
		return 0;
	set_head(&record->head, RECORD_EXIT, task);
	record->head.time = bpf_ktime_get_boot_ns();
	record->status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code :
							     task->group_leader->exit_code;
	record->reserved = 0;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* ---- TCP ---- */

static __always_inline void set_owner(struct owner *owner)
{
	struct task_struct *task = bpf_get_current_task_btf();

	owner->pid = task->tgid;
	owner->start = task->group_leader->start_boottime;
	owner->reserved = 0;
}

static __always_inline bool is_own(u32 pid)
{
	u32 zero = 0;
	struct settings *shared = bpf_map_lookup_elem(&settings, &zero);

	return shared && shared->own_pid && shared->own_pid == pid;
}

static __always_inline void put_addresses(struct socket_record *record, const struct sock *sk)
{
	const struct sock_common *common = &sk->__sk_common;

	if (record->family == AF_INET) {
		*(u32 *)record->local = common->skc_rcv_saddr;
		*(u32 *)record->remote = common->skc_daddr;
		__builtin_memset(record->local + 4, 0, 12);
		__builtin_memset(record->remote + 4, 0, 12);
		return;
	}
	bpf_core_read(record->local, 16, &common->skc_v6_rcv_saddr);
	bpf_core_read(record->remote, 16, &common->skc_v6_daddr);
}

static __always_inline u16 local_port(const struct sock *sk)
{
	u16 port = sk->__sk_common.skc_num;

	if (port)
		return port;
	/* A failed connect has given its port back, but inet_sport still shows it. */
	return bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

static __always_inline void report(u16 kind, u16 direction, const struct sock *sk,
				   const struct owner *owner)
{
	struct socket_record *record;

	if (is_own(owner->pid))
		return;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	count(kind, !record);
	if (!record)
		return;
	record->head.kind = kind;
	record->head.flags = 0;
	record->head.pid = owner->pid;
	record->head.start = owner->start;
	record->head.time = bpf_ktime_get_boot_ns();
	record->uid = sk->sk_uid.val;
	record->direction = direction;
	record->family = sk->__sk_common.skc_family;
	record->protocol = IPPROTO_TCP;
	record->local_port = local_port(sk);
	record->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	record->reserved = 0;
	put_addresses(record, sk);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline void set_endpoint(struct endpoint *endpoint, const struct sock *sk)
{
	const struct sock_common *common = &sk->__sk_common;

	__builtin_memset(endpoint, 0, sizeof(*endpoint));
	endpoint->net = common->skc_net.net->ns.inum;
	endpoint->port = common->skc_num;
	if (common->skc_family == AF_INET6) {
		bpf_core_read(endpoint->address, 16, &common->skc_v6_rcv_saddr);
	} else if (common->skc_rcv_saddr) {
		*(u16 *)(endpoint->address + 10) = 0xffff;
		*(u32 *)(endpoint->address + 12) = common->skc_rcv_saddr;
	}
}

static __always_inline void on_connect(const struct sock *sk)
{
	u64 key = (u64)sk;
	struct owner owner;

	set_owner(&owner);
	bpf_map_update_elem(&connecting, &key, &owner, BPF_ANY);
}

static __always_inline void on_connect_end(const struct sock *sk, bool established)
{
	u64 key = (u64)sk;
	struct owner unknown = {};
	struct owner *owner = bpf_map_lookup_elem(&connecting, &key);

	report(RECORD_CONNECTION, established ? OUTBOUND : OUTBOUND_FAILED, sk,
	       owner ? owner : &unknown);
	bpf_map_delete_elem(&connecting, &key);
}

static __always_inline void on_listen(const struct sock *sk)
{
	struct endpoint endpoint;
	struct owner owner;

	set_owner(&owner);
	set_endpoint(&endpoint, sk);
	bpf_map_update_elem(&listeners, &endpoint, &owner, BPF_ANY);
	report(RECORD_LISTEN, 0, sk, &owner);
}

/* The current task has nothing to do with it: it is whoever the packet interrupted. */
static __always_inline void on_accept(const struct sock *sk)
{
	u64 key = (u64)sk;
	struct endpoint endpoint;
	struct owner unknown = {};
	struct owner *owner;

	if (bpf_map_lookup_elem(&connecting, &key)) { /* both ends connected to each other */
		on_connect_end(sk, true);
		return;
	}
	set_endpoint(&endpoint, sk);
	owner = bpf_map_lookup_elem(&listeners, &endpoint);
	if (!owner) {
		__builtin_memset(endpoint.address, 0, sizeof(endpoint.address));
		owner = bpf_map_lookup_elem(&listeners, &endpoint);
	}
	report(RECORD_CONNECTION, INBOUND, sk, owner ? owner : &unknown);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(deodar_socket, const struct sock *sk, int before, int now)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (now == TCP_SYN_SENT)
		on_connect(sk);
	else if (before == TCP_SYN_SENT && now != TCP_SYN_RECV)
		on_connect_end(sk, now == TCP_ESTABLISHED);
	else if (now == TCP_LISTEN)
		on_listen(sk);
	else if (before == TCP_SYN_RECV && now == TCP_ESTABLISHED)
		on_accept(sk);
	return 0;
}
