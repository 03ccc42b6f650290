-- The shapes of the sample databases that people try first (sakila, employees, world, shops), in small, with what torture.sql lacks.
SET NAMES utf8mb4; SET sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'; SET foreign_key_checks = 0;
ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_german1_ci COMMENT 'shop ''quoted''; -- not a comment';
CREATE TABLE language (language_id TINYINT UNSIGNED NOT NULL AUTO_INCREMENT, name CHAR(20) NOT NULL, last_update TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, PRIMARY KEY (language_id)) DEFAULT CHARSET=utf8mb4;
CREATE TABLE film (
  film_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT, title VARCHAR(128) NOT NULL, description TEXT DEFAULT NULL, release_year YEAR DEFAULT NULL,
  language_id TINYINT UNSIGNED NOT NULL, rental_rate DECIMAL(4,2) NOT NULL DEFAULT 4.99, rating ENUM('G','PG','PG-13','R','NC-17') DEFAULT 'G',
  special_features SET('Trailers','Commentaries','Deleted Scenes','Behind the Scenes') DEFAULT NULL, picture BLOB DEFAULT NULL,
  code VARCHAR(36) NOT NULL DEFAULT (concat('f-', md5(title))), made DATETIME(6) DEFAULT current_timestamp(6), price INT DEFAULT (1 + 2) CHECK (price > 0),
  twice INT AS (price * 2) VIRTUAL, doc JSON, CONSTRAINT positive CHECK (rental_rate >= 0 AND title <> ''),
  PRIMARY KEY (film_id), KEY idx_title (title(10) DESC, release_year ASC), KEY fk_language (language_id), FULLTEXT KEY words (title, description), UNIQUE KEY code (code) COMMENT 'unique',
  CONSTRAINT fk_film_language FOREIGN KEY (language_id) REFERENCES language (language_id) ON DELETE RESTRICT ON UPDATE CASCADE
) ENGINE=InnoDB AUTO_INCREMENT=1000 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8 COMMENT='it''s `quoted`';
CREATE TABLE store (store_id INT PRIMARY KEY, manager INT, CONSTRAINT a FOREIGN KEY (manager) REFERENCES staff (staff_id)) ENGINE=InnoDB;
CREATE TABLE staff (staff_id INT PRIMARY KEY, store_id INT, CONSTRAINT b FOREIGN KEY (store_id) REFERENCES store (store_id)) ENGINE=InnoDB;
SET foreign_key_checks = 1;
CREATE TABLE address (id INT PRIMARY KEY, location GEOMETRY NOT NULL, SPATIAL KEY place (location)) ENGINE=InnoDB;
CREATE TABLE salaries (emp_no INT NOT NULL, salary INT NOT NULL, from_date DATE NOT NULL, PRIMARY KEY (emp_no, from_date))
  PARTITION BY RANGE COLUMNS (from_date) SUBPARTITION BY HASH (emp_no) SUBPARTITIONS 2 (PARTITION p1 VALUES LESS THAN ('2000-01-01'), PARTITION p2 VALUES LESS THAN (MAXVALUE) COMMENT 'rest');
CREATE TABLE listed (n INT) PARTITION BY LIST (n) (PARTITION a VALUES IN (1, 2), PARTITION d DEFAULT);
CREATE TABLE keyed (n INT PRIMARY KEY) PARTITION BY KEY () PARTITIONS 3;
CREATE TABLE old_notes (id INT, note TEXT) ENGINE=MyISAM; CREATE TABLE aria_notes (id INT, note TEXT) ENGINE=Aria TRANSACTIONAL=1;
CREATE TABLE in_memory (id INT) ENGINE=MEMORY; CREATE TABLE sheet (id INT NOT NULL, note VARCHAR(20) NOT NULL) ENGINE=CSV;
CREATE TABLE packed (id INT PRIMARY KEY, t TEXT) PAGE_COMPRESSED=1; CREATE TABLE dynamic (id INT) ROW_FORMAT=DYNAMIC; CREATE TABLE redundant (id INT, v VARCHAR(20)) ROW_FORMAT=REDUNDANT;
CREATE TABLE zero (d DATE, dt DATETIME, ts TIMESTAMP NULL); SET sql_mode = ''; INSERT INTO zero VALUES ('0000-00-00', '0000-00-00 00:00:00', NULL), ('2024-00-10', '2024-02-31', '2038-01-19 03:14:07'); SET sql_mode = 'STRICT_TRANS_TABLES';
CREATE TABLE mixed (l VARCHAR(20) CHARACTER SET latin1, u VARCHAR(20) CHARACTER SET utf8mb4, b VARBINARY(20), a VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin);
INSERT INTO mixed VALUES ('Zoë €', 'Zoë 😀', x'00ff', 'plain'), (NULL, '', '', NULL);
CREATE TABLE wiki (id INT PRIMARY KEY, body TEXT, secret INT INVISIBLE DEFAULT 7) WITH SYSTEM VERSIONING; INSERT INTO wiki (id, body) VALUES (1, 'a'); UPDATE wiki SET body = 'b'; DELETE FROM wiki;
CREATE TABLE part_versioned (id INT) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION h HISTORY, PARTITION c CURRENT); INSERT INTO part_versioned VALUES (1);
CREATE TABLE periods (id INT, s DATE, e DATE, PERIOD FOR valid (s, e), UNIQUE (id, valid WITHOUT OVERLAPS)); INSERT INTO periods VALUES (1, '2020-01-01', '2021-01-01');
CREATE SEQUENCE numbers START WITH 5 INCREMENT BY -3 MINVALUE -100 MAXVALUE 50 CACHE 0 CYCLE; SELECT NEXT VALUE FOR numbers;
CREATE TABLE numbered (id BIGINT DEFAULT (NEXT VALUE FOR numbers), v INT); INSERT INTO numbered (v) VALUES (1), (2);
CREATE TABLE `Größe ``back`` ✓` (`a b` INT, `select` INT, PRIMARY KEY (`a b`)); INSERT INTO `Größe ``back`` ✓` VALUES (1, 2);
INSERT INTO language (name) VALUES ('English'), ('Ænglisc');
INSERT INTO film (title, description, release_year, language_id, special_features, picture, doc) SELECT CONCAT('Film ', seq), REPEAT('words ', seq), 1990 + seq % 60, 1 + seq % 2, 'Trailers,Deleted Scenes', x'00ff27', '{"a": [1, 2.50, null]}' FROM seq_1_to_200;
SET foreign_key_checks = 0; INSERT INTO store VALUES (1, 1); INSERT INTO staff VALUES (1, 1); SET foreign_key_checks = 1;
INSERT INTO address VALUES (1, ST_GeomFromText('POINT(1 2)')), (2, ST_GeomFromText('MULTIPOLYGON(((0 0,4 0,4 4,0 0)))'));
INSERT INTO salaries SELECT seq, seq * 100, '1990-01-01' + INTERVAL seq MONTH FROM seq_1_to_300; INSERT INTO listed VALUES (1), (9); INSERT INTO keyed SELECT seq FROM seq_1_to_20;
INSERT INTO old_notes VALUES (1, 'x'); INSERT INTO aria_notes VALUES (1, 'y'); INSERT INTO in_memory VALUES (1); INSERT INTO sheet VALUES (1, 'a"b,c'); INSERT INTO packed VALUES (1, REPEAT('z', 10000)); INSERT INTO redundant VALUES (1, 'r');
CREATE TABLE film_log (what VARCHAR(40));
DELIMITER //
CREATE TRIGGER one AFTER INSERT ON film FOR EACH ROW INSERT INTO film_log VALUES ('one')//
CREATE TRIGGER three AFTER INSERT ON film FOR EACH ROW INSERT INTO film_log VALUES ('three')//
CREATE TRIGGER two AFTER INSERT ON film FOR EACH ROW FOLLOWS one BEGIN DECLARE x INT DEFAULT 1; IF NEW.price > 1 THEN INSERT INTO film_log VALUES ('two; //'); END IF; END//
CREATE DEFINER = root@localhost PROCEDURE rewards (IN minimum TINYINT UNSIGNED, OUT found INT) READS SQL DATA SQL SECURITY INVOKER COMMENT 'provides ''rewards''' proc: BEGIN
  DECLARE done INT DEFAULT FALSE; DECLARE c CURSOR (p INT) FOR SELECT film_id FROM film WHERE film_id > p; DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = TRUE;
  IF minimum = 0 THEN LEAVE proc; END IF; SELECT COUNT(*) INTO found FROM film; END//
CREATE FUNCTION held (p INT) RETURNS INT DETERMINISTIC RETURN (SELECT COUNT(*) FROM film WHERE film_id = p)//
CREATE AGGREGATE FUNCTION total (x INT) RETURNS INT BEGIN DECLARE t INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN t; LOOP FETCH GROUP NEXT ROW; SET t = t + x; END LOOP; END//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:00' ON COMPLETION PRESERVE DISABLE COMMENT 'e' DO BEGIN DELETE FROM film_log; END//
DELIMITER ;
CREATE ALGORITHM = MERGE DEFINER = root@localhost SQL SECURITY DEFINER VIEW film_list AS SELECT f.film_id AS FID, f.title, l.name AS `lang uage` FROM film f JOIN language l USING (language_id) WITH CASCADED CHECK OPTION;
CREATE VIEW counts AS SELECT `lang uage`, COUNT(*) AS n, held(1) AS h FROM film_list GROUP BY `lang uage`; CREATE VIEW over_counts AS WITH x AS (SELECT SUM(n) s FROM counts) SELECT * FROM x;
