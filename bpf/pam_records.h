/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the part `pam` tells; its Python side is sensors/parts/pam.py. */
#ifndef DEODAR_PAM_RECORDS_H
#define DEODAR_PAM_RECORDS_H

#include "head.h"

enum pam_function {
	PAM_AUTHENTICATE = 1,
	PAM_ACCT_MGMT,
	PAM_OPEN_SESSION,
	PAM_CLOSE_SESSION,
};

/* One call that came back, or began to close a session. Texts end with a NUL and are cut to fit. */
struct pam_record {
	struct record_head head;
	u32 function;
	s32 result; /* PAM_SUCCESS is 0; of PAM_CLOSE_SESSION always */
	u32 uid; /* real user id of the caller */
	u32 login_uid;
	u32 session_id;
	u32 reserved;
	char service[64];
	char user[128];
	char rhost[256];
	char ruser[64];
	char tty[64];
};

#endif
