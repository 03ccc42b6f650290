-- How long the newest successful drill took to restore a backup: the recovery time to expect.
ALTER TABLE backups ADD COLUMN restore_duration_ms BIGINT;
