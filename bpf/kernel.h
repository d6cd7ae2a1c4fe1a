/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel structures that the sensors read, with only the fields that they read.
 *
 * Offsets here mean nothing: preserve_access_index makes the compiler leave a relocation for each
 * access, and the running kernel fills in its own offsets at load (CO-RE). Only names and types
 * must agree. A name with three underscores (`inode___2024`) is another version of the structure
 * before them.
 */
#ifndef DEODAR_KERNEL_H
#define DEODAR_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
#define true 1
#define false 0

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_MMAPABLE = 1024,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
};

enum bpf_prog_type {
	BPF_PROG_TYPE_UNSPEC, /* only the types' names matter: numbers are told as they are */
};

enum bpf_link_type {
	BPF_LINK_TYPE_UNSPEC,
};

#define TS_COMPAT 2
#define AT_FDCWD (-100)
#define PF_KTHREAD 0x00200000
#define SIGNAL_GROUP_EXIT 0x00000004
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_SCTP 132
#define IPPROTO_UDPLITE 136
#define AF_UNIX 1
#define AF_NETLINK 16
#define AF_PACKET 17
#define SOCK_TYPE_MASK 15
#define MSG_PEEK 2
#define SOCK_RAW 3
#define SOCK_PACKET 10
#define SOCK_BINDPORT_LOCK 8
#define S_IFMT 0170000
#define S_IFIFO 0010000
#define S_IFCHR 0020000
#define S_IFSOCK 0140000
#define ICANON 2 /* the terminal edits lines */
#define ECHO 8
#define SIGINT 2
#define EPERM 1
#define EACCES 13
#define EADDRNOTAVAIL 99
#define ENETDOWN 100
#define ENETUNREACH 101
#define ECONNREFUSED 111
#define EHOSTUNREACH 113
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_LISTEN 10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	u32 val;
} kgid_t;

typedef struct {
	s32 counter;
} atomic_t;

typedef struct {
	u32 cap[2]; /* one u64 from 6.3 on: the same eight bytes */
} kernel_cap_t;

struct cred {
	kuid_t uid, suid, euid;
	kgid_t gid, egid;
	kernel_cap_t cap_effective;
};

struct ns_common {
	u32 inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct xarray {
	void *xa_head;
};

struct xa_node {
	u8 shift;
	void *slots[64];
};

struct idr {
	struct xarray idr_rt;
	u32 idr_base;
};

struct pid_namespace {
	struct idr idr;
	u32 level;
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct upid {
	s32 nr;
	struct pid_namespace *ns;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct pid {
	u32 level;
	struct hlist_head tasks[4];
	struct upid numbers[1];
};

struct ktermios {
	u32 c_lflag;
};

struct tty_struct {
	char name[64];
	struct ktermios termios;
};

struct tty_file_private {
	struct tty_struct *tty;
};

struct signal_struct {
	atomic_t live;
	s32 nr_threads;
	s32 group_exit_code;
	u32 flags;
	struct tty_struct *tty;
	u64 sum_sched_runtime;
};

struct qstr {
	u32 len;
	const u8 *name;
};

struct vfsmount;

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct fs_struct {
	struct path pwd;
};

struct super_block {
	u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	u16 i_mode;
	u32 i_nlink;
	struct super_block *i_sb;
	u32 i_rdev;
	unsigned long i_ino;
	s64 i_size;
	void *i_private;
};

struct proc_inode {
	struct pid *pid;
	struct inode vfs_inode;
};

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

struct inode___2024 { /* 6.11 and later */
	s64 i_mtime_sec, i_ctime_sec;
	u32 i_mtime_nsec, i_ctime_nsec;
};

struct inode___2023 { /* 6.7 to 6.10 */
	struct timespec64 __i_mtime, __i_ctime;
};

struct inode___ctime { /* 6.6 */
	struct timespec64 i_mtime, __i_ctime;
};

struct inode___old { /* before 6.6 */
	struct timespec64 i_mtime, i_ctime;
};

struct file {
	u32 f_mode;
	u32 f_flags;
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct mm_struct {
	unsigned long arg_start, arg_end;
	struct file *exe_file;
};

struct linux_binprm {
	struct file *file;
	const char *filename;
};

struct vm_area_struct {
	struct file *vm_file;
};

struct thread_info {
	u32 status; /* TS_COMPAT */
};

struct fdtable {
	u32 max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct pt_regs { /* of x86-64; a 32-bit call has its arguments in bx, cx, dx, si, di, bp */
	unsigned long di, si, dx, r10, r8, r9, bx, cx, bp;
	unsigned long orig_ax; /* number of the system call */
};

struct module {
	char name[56];
	unsigned long taints;
};

struct bpf_prog_aux {
	u32 id;
	const char *attach_func_name;
	char name[16];
};

struct bpf_prog {
	enum bpf_prog_type type;
	struct bpf_prog_aux *aux;
};

struct bpf_map {
	enum bpf_map_type map_type;
	u32 id;
	char name[16];
};

struct bpf_link {
	enum bpf_link_type type;
	struct bpf_prog *prog;
};

struct task_struct {
	struct thread_info thread_info;
	u32 flags;
	s32 pid, tgid;
	s32 exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	u64 start_boottime;
	const struct cred *cred;
	kuid_t loginuid;
	u32 sessionid;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	char comm[16];
};

struct kernfs_node {
	u64 id;
};

struct cgroup_root {
	s32 hierarchy_id;
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct in6_addr {
	u8 in6_u[16];
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
	u8 sk_userlocks : 4;
	s32 sk_err;
	kuid_t sk_uid;
};

struct socket {
	struct sock *sk;
};

struct inet_sock {
	__be16 inet_sport;
};

#pragma clang attribute pop

#endif
