#!/bin/bash
# Corpus D: loads the SQLite corpus into the MariaDB database $2 ($MARIA holds the client's options).
# load_maria.sh CRM_DB DATABASE
set -eu
db=$1; name=$2
run() { mariadb $MARIA --local-infile=1 --default-character-set=utf8mb4 "$@"; }
run -e "DROP DATABASE IF EXISTS $name; CREATE DATABASE $name CHARACTER SET utf8mb4"
sqlite3 "$db" .schema | grep '^CREATE TABLE' |
  sed 's/INTEGER/BIGINT/g; s/NUMERIC/DECIMAL(14,2)/g; s/(id TEXT PRIMARY/(id VARCHAR(64) PRIMARY/; s/entity TEXT/entity VARCHAR(40)/' | run "$name"
for t in $(sqlite3 "$db" "SELECT name FROM sqlite_master WHERE type='table'"); do
  fifo=$(mktemp -u); mkfifo "$fifo"
  sqlite3 -csv "$db" "SELECT * FROM $t" > "$fifo" &
  run "$name" -e "LOAD DATA LOCAL INFILE '$fifo' INTO TABLE $t CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\n'"
  rm "$fifo"
done
sqlite3 "$db" .schema | grep '^CREATE INDEX' | run "$name"
