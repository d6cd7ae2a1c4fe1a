BEGIN TRANSACTION;
CREATE TABLE audit (
	number INTEGER NOT NULL, 
	time_us BIGINT NOT NULL, 
	user VARCHAR(128) NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	subject VARCHAR(256) NOT NULL, 
	details TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "audit" VALUES(1,1795321871023104,'uid 0','enrolment-token create','for web-1','');
INSERT INTO "audit" VALUES(2,1795321871031456,'192.0.2.7','endpoint enroll','27e6ad0a-b101-4656-98e7-fbe9bb7df668','web-1');
INSERT INTO "audit" VALUES(3,1795321871033611,'uid 0','enrolment-token create','for web-2','');
INSERT INTO "audit" VALUES(4,1795321871036455,'192.0.2.7','endpoint enroll','d77352ac-0314-49c3-98ac-54ec53921cd3','web-2');
INSERT INTO "audit" VALUES(5,1795321871039736,'uid 0','endpoint revoke','d77352ac-0314-49c3-98ac-54ec53921cd3','');
INSERT INTO "audit" VALUES(6,1795321871040806,'uid 0','enrolment-token create','unused','');
INSERT INTO "audit" VALUES(7,1795321871076382,'uid 0','external-system accept','siem-1','from 192.0.2.9, certificate 6e38298ad5209b7828f240b6990538fed0255ca84e19b3424d4beb7f46d6c7b5');
CREATE TABLE deodar_edr_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT deodar_edr_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "deodar_edr_version" VALUES('0001');
CREATE TABLE endpoints (
	agent_id VARCHAR(36) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	name VARCHAR(256) DEFAULT '' NOT NULL, 
	os_name VARCHAR(256) DEFAULT '' NOT NULL, 
	os_version VARCHAR(256) DEFAULT '' NOT NULL, 
	machine_id VARCHAR(128) DEFAULT '' NOT NULL, 
	agent_version VARCHAR(64) DEFAULT '' NOT NULL, 
	address VARCHAR(64) DEFAULT '' NOT NULL, 
	enrolled_us BIGINT NOT NULL, 
	last_contact_us BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (agent_id), 
	UNIQUE (digest)
);
INSERT INTO "endpoints" VALUES('27e6ad0a-b101-4656-98e7-fbe9bb7df668','25a0c26817fdffbb0f69a3c099865e0e13ead38c5ce30e6126f5a37240693ab6','enrolled','web-1','Debian GNU/Linux 12 (bookworm)','6.1.0','0123456789abcdef','0.1.0','192.0.2.8',1795321871026934,1795321871037872);
INSERT INTO "endpoints" VALUES('d77352ac-0314-49c3-98ac-54ec53921cd3','f9ffa557d5de731b80e3a7049dc962785cb8e0134a9de381b5e9e18689d6b66c','revoked','web-2','Debian GNU/Linux 12 (bookworm)','6.1.0','0123456789abcdef','0.1.0','192.0.2.7',1795321871034557,0);
CREATE TABLE enrolment_tokens (
	hash VARCHAR(64) NOT NULL, 
	note VARCHAR(256) DEFAULT '' NOT NULL, 
	created_us BIGINT NOT NULL, 
	expires_us BIGINT NOT NULL, 
	used_us BIGINT, 
	agent_id VARCHAR(36), 
	PRIMARY KEY (hash)
);
INSERT INTO "enrolment_tokens" VALUES('d2a4cda738012d2be0eaa16c94af2e4d8f706ab91a514dc654141386e202ee8b','for web-1',1795321871021664,1795325471021664,1795321871026934,'27e6ad0a-b101-4656-98e7-fbe9bb7df668');
INSERT INTO "enrolment_tokens" VALUES('72ccb479ff208d7fa230c5269fb09e39b2196b9517b63906b46b03d6457f3f02','for web-2',1795321871033159,1795325471033159,1795321871034557,'d77352ac-0314-49c3-98ac-54ec53921cd3');
INSERT INTO "enrolment_tokens" VALUES('f7ebd226de4b135e94eae1dbb81cf1d75a3b0b68df8c0106cfe368734f41499c','unused',1795321871040483,1795325471040483,NULL,NULL);
CREATE TABLE external_systems (
	number INTEGER NOT NULL, 
	id VARCHAR(128) NOT NULL, 
	ip VARCHAR(64) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	name VARCHAR(256) DEFAULT '' NOT NULL, 
	subject VARCHAR(256) DEFAULT '' NOT NULL, 
	not_before_us BIGINT NOT NULL, 
	not_after_us BIGINT NOT NULL, 
	first_seen_us BIGINT NOT NULL, 
	last_seen_us BIGINT NOT NULL, 
	last_fetch_us BIGINT DEFAULT '0' NOT NULL, 
	decided_us BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (number), 
	CONSTRAINT uq_external_systems_ip_digest UNIQUE (ip, digest)
);
INSERT INTO "external_systems" VALUES(1,'siem-1','192.0.2.9','6e38298ad5209b7828f240b6990538fed0255ca84e19b3424d4beb7f46d6c7b5','accepted','The SIEM','siem',1795318271000000,1826857871000000,1795321871070972,1795321871070972,0,1795321871075996);
CREATE TABLE filters (
	system VARCHAR(128) NOT NULL, 
	digest VARCHAR(32) NOT NULL, 
	text TEXT NOT NULL, 
	used_us BIGINT NOT NULL, 
	PRIMARY KEY (system, digest)
);
CREATE INDEX ix_external_systems_id ON external_systems (id);
CREATE INDEX ix_external_systems_state ON external_systems (state, last_seen_us);
COMMIT;
