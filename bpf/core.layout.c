/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Never loaded: the build reads the layout of the records from this file's type information. */
#include "records.h"

struct {
	struct record_head head;
	struct exec_record exec;
	struct fork_record fork;
	struct exit_record exit;
	struct socket_record socket;
} layout;
