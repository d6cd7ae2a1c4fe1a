/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the part `calls` says of sockets, terminals and pipes; read by sensors/parts/calls_net.py. */
#ifndef DEODAR_NET_RECORDS_H
#define DEODAR_NET_RECORDS_H

#include "head.h"

enum net_kind {
	RECORD_FLOW = 40,
	RECORD_BOUND,
	RECORD_RAW_SOCKET,
	RECORD_DNS,
	RECORD_CONSOLE,
};

enum flow_direction {
	FLOW_OUT = 1,
	FLOW_FAILED,
	FLOW_IN,
};

/* A first datagram, a connect that failed at once; also a port that was opened (RECORD_BOUND). */
struct flow_record {
	struct record_head head;
	u32 uid;
	u16 direction; /* 0 for BOUND */
	u16 family;
	u16 protocol;
	u16 local_port, remote_port;
	u16 error; /* number of errno.h, 0 for none */
	u8 local[16], remote[16]; /* IPv4 in the first four bytes */
};

struct raw_record {
	struct record_head head;
	u32 family;
	u32 type; /* without flags */
	u32 protocol; /* as passed: of packet sockets in network order */
	u32 reserved;
};

#define DNS_BYTES 1024

struct dns_record {
	struct record_head head;
	u16 direction; /* of the message: OUT or IN */
	u16 family;
	u16 protocol;
	u16 remote_port;
	u32 whole; /* bytes that the process passed or got */
	u32 kept;
	u8 remote[16];
	u8 payload[DNS_BYTES];
};

enum console_source {
	FROM_TERMINAL = 1,
	FROM_PIPE,
	FROM_SOCKET,
};

enum console_flags {
	INPUT_COOKED = 1, /* the terminal edits lines by itself */
	INPUT_CUT = 2, /* more was read than is kept */
	INPUT_END = 4, /* end of file */
};

#define CONSOLE_BYTES 4096
#define TERMINAL_BYTES 24

struct console_record {
	struct record_head head;
	u32 source;
	u32 flags;
	u32 kept;
	u32 reserved;
	u64 untold; /* bytes that are only counted, of this process since its last record */
	char terminal[TERMINAL_BYTES];
	u8 payload[CONSOLE_BYTES];
};

#endif
