/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of the core part; user space sets max_entries of `scratch` at load. */
#ifndef DEODAR_CORE_H
#define DEODAR_CORE_H

#include "records.h"
#include "common.h"

/* One record per CPU to build an exec in. A plain array: per-CPU ones end at 32 KB a value. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct exec_record);
} scratch SEC(".maps");

/* What paths.h builds paths in. */
#define PATHS_RECORD struct exec_record

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

#endif
