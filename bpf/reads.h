/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* read and write, by which sockets, terminals and pipes are used like files: told apart here. */
#ifndef DEODAR_READS_H
#define DEODAR_READS_H

#include "console.h"
#include "net.h"

static __always_inline void on_read(const struct call *call)
{
	struct file *file;
	struct inode *inode;

	if (call->ret < 0 && !barred(call->ret))
		return;
	file = file_of(call->args[0]);
	inode = BPF_CORE_READ(file, f_inode);
	switch (BPF_CORE_READ(inode, i_mode) & S_IFMT) {
	case S_IFSOCK:
		on_plain_transfer(call, file, FLOW_IN);
		if (!(u32)call->args[0] && call->ret >= 0)
			on_piped(call->args[1], call->ret);
		break;
	case S_IFIFO:
		if (!(u32)call->args[0] && call->ret >= 0)
			on_piped(call->args[1], call->ret);
		break;
	case S_IFCHR:
		if (call->ret > 0 && is_terminal(BPF_CORE_READ(inode, i_rdev)))
			on_terminal(call, file, call->args[1], call->ret);
		break;
	}
}

static __always_inline void on_readv(const struct call *call)
{
	struct user_piece piece = {};
	struct file *file;
	struct inode *inode;

	if (call->ret < 0 && !barred(call->ret))
		return;
	file = file_of(call->args[0]);
	inode = BPF_CORE_READ(file, f_inode);
	switch (BPF_CORE_READ(inode, i_mode) & S_IFMT) {
	case S_IFSOCK:
		on_vector_transfer(call, file, FLOW_IN);
		break;
	case S_IFCHR:
		if (call->ret <= 0 || !is_terminal(BPF_CORE_READ(inode, i_rdev)))
			break;
		bpf_probe_read_user(&piece, sizeof(piece), (void *)call->args[1]);
		on_terminal(call, file, piece.base,
			    (u64)call->ret < piece.bytes ? (u64)call->ret : piece.bytes);
		break;
	}
}

static __always_inline void on_write(const struct call *call)
{
	if (call->ret > 0 || barred(call->ret))
		on_plain_transfer(call, file_of(call->args[0]), FLOW_OUT);
}

static __always_inline void on_writev(const struct call *call)
{
	if (call->ret > 0 || barred(call->ret))
		on_vector_transfer(call, file_of(call->args[0]), FLOW_OUT);
}

static __always_inline void on_file_or_socket(const struct call *call)
{
	switch (call->number) {
	case NR_READ:
		on_read(call);
		break;
	case NR_WRITE:
		on_write(call);
		break;
	case NR_READV:
		on_readv(call);
		break;
	case NR_WRITEV:
		on_writev(call);
		break;
	case NR_SOCKET:
		on_socket(call);
		break;
	case NR_CONNECT:
		on_connect_call(call);
		break;
	case NR_SENDTO:
		on_transfer(call, FLOW_OUT);
		break;
	case NR_RECVFROM:
		on_transfer(call, FLOW_IN);
		break;
	case NR_SENDMSG:
		on_message(call, FLOW_OUT);
		break;
	case NR_RECVMSG:
		on_message(call, FLOW_IN);
		break;
	case NR_SENDMMSG:
		on_messages(call, FLOW_OUT);
		break;
	case NR_RECVMMSG:
		on_messages(call, FLOW_IN);
		break;
	case NR_BIND:
		on_bind(call);
		break;
	case NR_LISTEN:
		on_listen_call(call);
		break;
	}
}

#endif
