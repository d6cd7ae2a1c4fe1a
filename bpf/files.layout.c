/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Never loaded: the build reads the layout of the records from this file's type information. */
#include "files_records.h"

struct {
	struct record_head head;
	struct file_record file;
} layout;
