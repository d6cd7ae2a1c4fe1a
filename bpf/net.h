/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets without connections, failed connects, raw sockets, and messages of DNS.
 *
 * Addresses that a process passes are read from its memory as the call returns; another thread may
 * have changed them meanwhile.
 */
#ifndef DEODAR_NET_H
#define DEODAR_NET_H

#include "calls.h"
#include "fds.h"

#define DNS_PORT 53
#define AGAIN_AFTER (600ULL * 1000000000) /* ns after which a flow is told again */
#define MOST_MESSAGES 8 /* of one sendmmsg or recvmmsg */

/* Who connected by TCP and got as far as a packet: the core part tells the outcome. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u8);
} tried SEC(".maps");

struct flow_key {
	u64 start;
	u32 pid;
	u16 local_port; /* 0 unless the process asked for it */
	u16 remote_port;
	u8 remote[16];
	u32 failed;
	u32 family;
};

/* Flows that were told, and when. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct flow_key);
	__type(value, u64);
} flows SEC(".maps");

struct asker {
	u64 sk;
	u64 pid;
};

struct asked {
	u32 family;
	u8 remote[16];
};

/* Name servers that were asked by sockets without a connection: who reads may not want to know. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct asker);
	__type(value, struct asked);
} asked_servers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dns_record);
} dns_scratch SEC(".maps");

/* What passes through a socket in one call. */
struct flow {
	struct sock *sk;
	u16 protocol;
	u16 family;
	u16 local_port;
	u16 remote_port;
	u8 remote[16];
	u16 direction;
	u16 error;
	u32 is_bound; /* the process chose the local port */
};

/* struct msghdr, iovec and mmsghdr of user space, as far as they are read. */
struct user_message {
	u64 name;
	u64 name_bytes; /* 32 bits and a hole */
	u64 pieces;
	u64 pieces_count;
};

struct user_piece {
	u64 base;
	u64 bytes;
};

#define USER_MMSGHDR_BYTES 64
#define USER_MSGHDR_BYTES 56

/* Return a file's socket, 0 when it is none. */
static __always_inline struct sock *sock_of(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct socket *socket;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

static __always_inline bool is_datagram(u16 protocol)
{
	return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;
}

/* Errors that say that the way to the other side is barred, not that the call was wrong. */
static __always_inline u16 barred(long ret)
{
	switch (-ret) {
	case EPERM:
	case EACCES:
	case EADDRNOTAVAIL:
	case ENETDOWN:
	case ENETUNREACH:
	case ECONNREFUSED:
	case EHOSTUNREACH:
		return -ret;
	}
	return 0;
}

static __always_inline bool is_port_chosen(struct sock *sk)
{
	return (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK) != 0;
}

/* Fill in what the kernel knows of a socket; returns false when it is not one of the internet. */
static __always_inline bool set_flow(struct flow *flow, struct sock *sk)
{
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->sk = sk;
	flow->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (flow->family != AF_INET && flow->family != AF_INET6)
		return false;
	flow->protocol = BPF_CORE_READ(sk, sk_protocol);
	return true;
}

static __always_inline void set_connected(struct flow *flow)
{
	struct sock *sk = flow->sk;

	flow->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (flow->family == AF_INET)
		bpf_core_read(flow->remote, 4, &sk->__sk_common.skc_daddr);
	else
		bpf_core_read(flow->remote, 16, &sk->__sk_common.skc_v6_daddr);
}

/* Take the other side from a socket address in the process's memory. */
static __always_inline void set_named(struct flow *flow, u64 name)
{
	struct {
		u16 family;
		u16 port;
		u8 rest[24];
	} address = {};

	if (bpf_probe_read_user(&address, 16, (void *)name))
		return;
	flow->family = address.family;
	flow->remote_port = bpf_ntohs(address.port);
	if (address.family == AF_INET6) {
		bpf_probe_read_user(&address, sizeof(address), (void *)name);
		__builtin_memcpy(flow->remote, address.rest + 4, 16); /* after the flow label */
	} else {
		__builtin_memcpy(flow->remote, address.rest, 4);
	}
}

static __always_inline void put_flow(u16 kind, struct flow *flow)
{
	struct flow_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	struct sock *sk = flow->sk;

	count(kind, !record);
	if (!record)
		return;
	set_head(&record->head, kind, bpf_get_current_task_btf());
	record->head.time = bpf_ktime_get_boot_ns();
	record->uid = BPF_CORE_READ(sk, sk_uid.val);
	record->direction = flow->direction;
	record->protocol = flow->protocol;
	record->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	record->remote_port = flow->remote_port;
	record->error = flow->error;
	__builtin_memset(record->local, 0, sizeof(record->local));
	__builtin_memcpy(record->remote, flow->remote, sizeof(record->remote));
	record->family = flow->family;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET)
		bpf_core_read(record->local, 4, &sk->__sk_common.skc_rcv_saddr);
	else if (flow->family == AF_INET6)
		bpf_core_read(record->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	bpf_ringbuf_submit(record, wake_flags(kind));
}

/* Whether a flow was told a short time ago; from now on it was. */
static __always_inline bool was_told(struct flow_key *key, u64 now)
{
	u64 *before = bpf_map_lookup_elem(&flows, key);

	if (before && now - *before < AGAIN_AFTER)
		return true;
	bpf_map_update_elem(&flows, key, &now, BPF_ANY);
	return false;
}

/*
 * Tell of a flow of datagrams, once for a while. What comes in is told once for each address: its
 * port is another one with each query to a name server, say. But the port is kept in mind, so that
 * the answer to it is no news.
 */
static __always_inline void tell_flow(struct flow *flow)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 now = bpf_ktime_get_boot_ns();
	struct flow_key key = {};

	key.start = task->group_leader->start_boottime;
	key.pid = task->tgid;
	key.remote_port = flow->remote_port;
	key.local_port = flow->is_bound ? flow->local_port : 0;
	__builtin_memcpy(key.remote, flow->remote, sizeof(key.remote));
	key.failed = flow->direction == FLOW_FAILED;
	key.family = flow->family;
	if (was_told(&key, now))
		return;
	if (flow->direction == FLOW_IN) {
		key.remote_port = 0;
		if (was_told(&key, now))
			return;
	}
	put_flow(RECORD_FLOW, flow);
}

static __always_inline void tell_dns(struct flow *flow, u64 data, u64 bytes)
{
	u32 zero = 0;
	struct dns_record *record = bpf_map_lookup_elem(&dns_scratch, &zero);
	u32 kept = at_most(bytes, DNS_BYTES);
	u32 size;

	if (!record || !bytes)
		return;
	if (kept > DNS_BYTES || bpf_probe_read_user(record->payload, kept, (void *)data))
		return;
	set_head(&record->head, RECORD_DNS, bpf_get_current_task_btf());
	record->head.time = bpf_ktime_get_boot_ns();
	record->direction = flow->direction;
	record->family = flow->family;
	record->protocol = flow->protocol;
	record->remote_port = flow->remote_port;
	record->whole = bytes;
	record->kept = kept;
	__builtin_memcpy(record->remote, flow->remote, sizeof(record->remote));
	size = sizeof(*record) - DNS_BYTES + kept;
	if (size > sizeof(*record))
		return;
	count(RECORD_DNS, bpf_ringbuf_output(&ring, record, size, wake_flags(RECORD_DNS)));
}

static __always_inline void note_server(struct flow *flow)
{
	struct asker key = { (u64)flow->sk, bpf_get_current_pid_tgid() >> 32 };
	struct asked asked = { .family = flow->family };

	__builtin_memcpy(asked.remote, flow->remote, sizeof(asked.remote));
	bpf_map_update_elem(&asked_servers, &key, &asked, BPF_ANY);
}

static __always_inline void recall_server(struct flow *flow)
{
	struct asker key = { (u64)flow->sk, bpf_get_current_pid_tgid() >> 32 };
	struct asked *asked = bpf_map_lookup_elem(&asked_servers, &key);

	if (!asked)
		return;
	flow->family = asked->family;
	flow->remote_port = DNS_PORT;
	__builtin_memcpy(flow->remote, asked->remote, sizeof(flow->remote));
}

/* Look at one message: `name` is where its address is (0 for none), `data` where its bytes are. */
static __noinline int see_message(struct flow *flow, u64 name, u64 data, u64 bytes)
{
	if (name)
		set_named(flow, name);
	else
		set_connected(flow);
	if (flow->direction == FLOW_OUT && name && flow->remote_port == DNS_PORT)
		note_server(flow);
	else if (flow->direction == FLOW_IN && !flow->remote_port)
		recall_server(flow);
	if (is_datagram(flow->protocol) && (flow->direction != FLOW_IN || flow->is_bound))
		tell_flow(flow);
	if (flow->remote_port == DNS_PORT && flow->direction != FLOW_FAILED)
		tell_dns(flow, data, bytes);
	return 0;
}

/* The same for a message that is told by its struct msghdr. */
static __always_inline void see_user_message(struct flow *flow, u64 at, u64 bytes)
{
	struct user_message message = {};
	struct user_piece piece = {};
	u64 name;

	if (bpf_probe_read_user(&message, sizeof(message), (void *)at))
		return;
	bpf_probe_read_user(&piece, sizeof(piece), (void *)message.pieces);
	if (flow->protocol == IPPROTO_TCP && piece.bytes == 2 && message.pieces_count > 1 &&
	    bytes > 2) { /* DNS over TCP: the length, then the message */
		bpf_probe_read_user(&piece, sizeof(piece),
				    (void *)message.pieces + sizeof(piece));
		bytes -= 2;
	}
	name = (u32)message.name_bytes && is_datagram(flow->protocol) ? message.name : 0;
	if (bytes > piece.bytes)
		bytes = piece.bytes;
	see_message(flow, name, piece.base, bytes);
}

struct messages {
	struct flow flow;
	u64 at;
};

static long see_one_of(u32 index, struct messages *messages)
{
	u64 at = messages->at + index * USER_MMSGHDR_BYTES;
	struct flow flow = messages->flow;
	u32 bytes = 0;

	bpf_probe_read_user(&bytes, sizeof(bytes), (void *)at + USER_MSGHDR_BYTES);
	see_user_message(&flow, at, bytes);
	return 0;
}

/*
 * Prepare a flow for a call that sent or received; false when there is nothing to tell. Of
 * TCP only what goes to or comes from a name server is of interest.
 */
static __always_inline bool begin_transfer(struct flow *flow, struct sock *sk, u16 direction,
					   long ret)
{
	if (!sk || !set_flow(flow, sk))
		return false;
	flow->direction = direction;
	if (flow->protocol == IPPROTO_TCP)
		return ret > 0 && BPF_CORE_READ(sk, __sk_common.skc_dport) == bpf_htons(DNS_PORT);
	if (!is_datagram(flow->protocol))
		return false;
	if (ret < 0) {
		flow->error = barred(ret);
		flow->direction = FLOW_FAILED;
		if (!flow->error)
			return false;
	}
	flow->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	flow->is_bound = is_port_chosen(sk);
	return true;
}

/* sendto and recvfrom: whose address is named by the fifth argument. */
static __always_inline void on_transfer(const struct call *call, u16 direction)
{
	struct flow flow;
	u64 name = call->args[4];
	u64 bytes = call->ret > 0 ? call->ret : 0;

	if (call->ret < 0 && !barred(call->ret))
		return;
	if (direction == FLOW_IN && call->args[3] & MSG_PEEK) /* it will be got once more */
		return;
	if (bytes > call->args[2]) /* with MSG_TRUNC the whole length is told */
		bytes = call->args[2];
	if (!begin_transfer(&flow, sock_of(file_of(call->args[0])), direction, call->ret))
		return;
	if (!is_datagram(flow.protocol))
		name = 0;
	see_message(&flow, name, call->args[1], bytes);
}

/* read and write on a socket. */
static __always_inline void on_plain_transfer(const struct call *call, struct file *file,
					      u16 direction)
{
	struct flow flow;

	if (begin_transfer(&flow, sock_of(file), direction, call->ret))
		see_message(&flow, 0, call->args[1], call->ret > 0 ? call->ret : 0);
}

/* writev and readv on a socket: DNS over TCP, and connected datagram sockets. */
static __always_inline void on_vector_transfer(const struct call *call, struct file *file,
					       u16 direction)
{
	struct user_piece piece = {};
	struct flow flow;
	u64 bytes = call->ret > 0 ? call->ret : 0;

	if (!begin_transfer(&flow, sock_of(file), direction, call->ret))
		return;
	bpf_probe_read_user(&piece, sizeof(piece), (void *)call->args[1]);
	if (flow.protocol == IPPROTO_TCP && piece.bytes == 2 && call->args[2] > 1 && bytes > 2) {
		bpf_probe_read_user(&piece, sizeof(piece), (void *)call->args[1] + sizeof(piece));
		bytes -= 2;
	}
	see_message(&flow, 0, piece.base, bytes < piece.bytes ? bytes : piece.bytes);
}

static __always_inline void on_message(const struct call *call, u16 direction)
{
	struct flow flow;

	if (call->ret < 0 && !barred(call->ret))
		return;
	if (direction == FLOW_IN && call->args[2] & MSG_PEEK)
		return;
	if (begin_transfer(&flow, sock_of(file_of(call->args[0])), direction, call->ret))
		see_user_message(&flow, call->args[1], call->ret > 0 ? call->ret : 0);
}

static __always_inline void on_messages(const struct call *call, u16 direction)
{
	struct messages messages = {};
	u32 number = call->ret > 0 ? call->ret : 1;

	if (call->ret < 0 && !barred(call->ret))
		return;
	if (direction == FLOW_IN && call->args[3] & MSG_PEEK)
		return;
	if (!begin_transfer(&messages.flow, sock_of(file_of(call->args[0])), direction, call->ret))
		return;
	messages.at = call->args[1];
	bpf_loop(number < MOST_MESSAGES ? number : MOST_MESSAGES, see_one_of, &messages, 0);
}

/* A connect by TCP that failed before any packet left. */
static __always_inline void on_connect_call(const struct call *call)
{
	u64 self = bpf_get_current_pid_tgid();
	struct flow flow;
	struct sock *sk;

	if (bpf_map_lookup_elem(&tried, &self)) {
		bpf_map_delete_elem(&tried, &self);
		return;
	}
	if (!barred(call->ret))
		return;
	sk = sock_of(file_of(call->args[0]));
	if (!sk || !set_flow(&flow, sk) || flow.protocol != IPPROTO_TCP)
		return;
	flow.direction = FLOW_FAILED;
	flow.error = barred(call->ret);
	set_named(&flow, call->args[1]);
	put_flow(RECORD_FLOW, &flow);
}

/* A port for datagrams was opened, if the process asked for a certain one. */
static __always_inline void on_bind(const struct call *call)
{
	struct flow flow;
	struct sock *sk;

	if (call->ret)
		return;
	sk = sock_of(file_of(call->args[0]));
	if (sk && set_flow(&flow, sk) && is_datagram(flow.protocol) && is_port_chosen(sk))
		put_flow(RECORD_BOUND, &flow);
}

/* What the core part cannot tell: the port that listen chose by itself, and SCTP. */
static __always_inline void on_listen_call(const struct call *call)
{
	struct flow flow;
	struct sock *sk;

	if (call->ret)
		return;
	sk = sock_of(file_of(call->args[0]));
	if (!sk || !set_flow(&flow, sk))
		return;
	if (flow.protocol == IPPROTO_SCTP ||
	    (flow.protocol == IPPROTO_TCP && !is_port_chosen(sk)))
		put_flow(RECORD_BOUND, &flow);
}

/* Sockets on which a process makes, or sees, packets by itself. Netlink's are called raw only. */
static __always_inline void on_socket(const struct call *call)
{
	u32 family = call->args[0];
	u32 type = call->args[1] & SOCK_TYPE_MASK;
	struct raw_record *record;

	if (call->ret < 0 || family == AF_UNIX || family == AF_NETLINK)
		return;
	if (type != SOCK_RAW && type != SOCK_PACKET && family != AF_PACKET)
		return;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	count(RECORD_RAW_SOCKET, !record);
	if (!record)
		return;
	set_head(&record->head, RECORD_RAW_SOCKET, bpf_get_current_task_btf());
	record->head.time = bpf_ktime_get_boot_ns();
	record->family = family;
	record->type = type;
	record->protocol = call->args[2];
	record->reserved = 0;
	bpf_ringbuf_submit(record, wake_flags(RECORD_RAW_SOCKET));
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(deodar_tried, const struct sock *sk, int before, int now)
{
	u64 self = bpf_get_current_pid_tgid();
	u8 one = 1;

	if (now == TCP_SYN_SENT && sk->sk_protocol == IPPROTO_TCP)
		bpf_map_update_elem(&tried, &self, &one, BPF_ANY);
	return 0;
}

#endif
