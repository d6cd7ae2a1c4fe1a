/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP connections, tried, made and taken, and listeners. */
#ifndef DEODAR_TCP_H
#define DEODAR_TCP_H

#include "core.h"

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
	record->error = direction == OUTBOUND_FAILED ? sk->sk_err : 0;
	put_addresses(record, sk);
	bpf_ringbuf_submit(record, wake_flags(kind));
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

#endif
