/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Never loaded: the build reads the layout of the records from this file's type information. */
#include "call_records.h"

struct {
	struct record_head head;
	struct memfd_record memfd;
	struct access_record access;
	struct module_record module;
	struct bpf_record bpf;
	struct flow_record flow;
	struct raw_record raw;
	struct dns_record dns;
	struct console_record console;
} layout;
