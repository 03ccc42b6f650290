"""PostgreSQL and MariaDB: Strongroom against the servers' own tools, on the same database in one run. Called by `run`.

Starts servers of its own below $BENCH (as the system users `postgres` and `mysql` where it is run by root) and fills them
from the corpus once. BENCH_NICE=-15 gives measured commands and servers that priority, against a busy machine."""
import glob, os, pwd, shutil, subprocess, sys, time

import measure

PG_PORT, MARIA_PORT = 54871, 33871
NICE = ["nice", "-n", os.environ["BENCH_NICE"]] if "BENCH_NICE" in os.environ else []
nice = lambda command: " ".join(NICE + ["bash", "-o", "pipefail", "-c", f"'{command}'"]) if NICE else command


def as_user(user):
    if os.getuid() != 0:
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def corpus(bench, here, quarter):
    """The SQLite database that both servers are filled from."""
    path = f"{bench}/db/crm.quarter.db" if quarter else f"{bench}/db/crm.day1.db"
    if not os.path.exists(path):
        subprocess.check_call([sys.executable, "-B", here + "/corpus/crmdb.py", path + ".new"] + (["0.25"] if quarter else []))
        os.rename(path + ".new", path)
    return path


class Server:
    """Started at first use, stopped at the end."""

    def __init__(self, folder, user):
        self.folder, self.user, self.process = folder, user, None
        os.makedirs(folder, exist_ok=True)
        if os.getuid() == 0:
            shutil.chown(folder, user, user)

    def start(self, command, ready):
        log = open(self.folder + "/log", "a")
        self.process = subprocess.Popen(NICE + as_user(self.user) + command, stdout=log, stderr=log, cwd=self.folder,
                                        start_new_session=True, preexec_fn=measure.go_first)
        for _ in range(600):
            if subprocess.run(ready, shell=True, capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        sys.exit(f"the server does not start: see {self.folder}/log")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def postgres(bench, here, quarter):
    tools = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1:]
    os.environ["PATH"] = ":".join(tools + [os.environ["PATH"]])
    server = Server(bench + "/postgres", "postgres")
    data = server.folder + "/data"
    # Everybody goes by TCP, as applications do.
    os.environ.update(PGHOST="127.0.0.1", PGPORT=str(PG_PORT), PGUSER="postgres")
    if not os.path.exists(data):
        subprocess.check_call(as_user("postgres") + ["initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D", data],
                              stdout=subprocess.DEVNULL, cwd=server.folder)
    server.start(["postgres", "-D", data, "-p", str(PG_PORT), "-k", server.folder, "-h", "127.0.0.1", "-c", "shared_buffers=512MB"], "psql -c 'SELECT 1' postgres")
    name = "crm_quarter" if quarter else "crm"
    if subprocess.run(f"psql -qc 'SELECT 1' {name}", shell=True, capture_output=True).returncode:
        loading = name + "_loading"
        subprocess.check_call(f"dropdb --if-exists {loading}", shell=True)
        subprocess.check_call([here + "/corpus/load_pg.sh", corpus(bench, here, quarter), loading])
        subprocess.check_call(f"psql -qc 'ALTER DATABASE {loading} RENAME TO {name}' postgres", shell=True)
    return server, name, f"postgresql://postgres@127.0.0.1:{PG_PORT}/"


def mariadb(bench, here, quarter):
    server = Server(bench + "/mariadb", "mysql")
    data, socket = server.folder + "/data", server.folder + "/s"
    os.environ["MARIA"] = f"--no-defaults -uroot -S {socket}"
    if not os.path.exists(data):
        user = ["--user=mysql"] if os.getuid() == 0 else []
        subprocess.check_call(["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", f"--datadir={data}"] + user,
                              stdout=subprocess.DEVNULL)
    server.start(["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}", f"--port={MARIA_PORT}", "--bind-address=127.0.0.1", "--skip-name-resolve",
                  "--local-infile=1", "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=512M", "--max-allowed-packet=64M"], "mariadb $MARIA -e 'SELECT 1'")
    name = "crm_quarter" if quarter else "crm"
    there = subprocess.run(f"mariadb $MARIA -Ne 'SELECT 1' {name}_complete", shell=True, capture_output=True).returncode == 0
    if not there:
        subprocess.check_call([here + "/corpus/load_maria.sh", corpus(bench, here, quarter), name])
        subprocess.check_call(f"mariadb $MARIA -e 'CREATE DATABASE {name}_complete'", shell=True)
    return server, name, f"mysql://root@127.0.0.1:{MARIA_PORT}/"


def application(run, label, kind, url, extra=""):
    return run.application(label, f'kind = "{kind}"\nurl = "{url}"\n{extra}')


POSTGRES_BINDS = """
What binds. Client and server share the two cores. A backup hashes every row and is on the disk, read back and encrypted when it
ends. A restore reads every row back through the server, compares, and gathers first statistics, all of which
`pg_restore` leaves to others. Rows going in frozen and as binary, LZ4 for long values and indexes built while rows come make up for
it, and so does letting what is read back gather in the socket: its reader was woken for every eight kibibytes, of 80,000 switches
between processes 32,000 are left and 8 % less CPU time (five pairs, by hand). Index entries are sorted in pieces that a cache holds:
the one on (text, bigint) takes 2.1 CPU seconds in the usual 64 MiB and 1.3 in 8, beside a reader that keeps the other core busy 2.5
and 1.4 in 6. Indexes come before reading back, whose work then covers the server's waiting for the disk after each, and the largest
table is read back first: 9.8 s in the mean of four rounds by hand, 10.2 without. Both cores are busy for 95 % of the time. Of some 19
CPU seconds we take 4, a third of it for decompression; the server (its own count, each statement, before these changes) takes 7 to
bring rows in, 4.3 to write them as text again, and took 5.4 for indexes.
"""


def postgres_section(run, rounds, quarter):
    server, name, base = postgres(run.BENCH, run.HERE, quarter)
    try:
        # What binds was looked into at full size.
        return "\n".join(postgres_tables(run, rounds, name, base) + ([] if quarter else [POSTGRES_BINDS.rstrip()]))
    finally:
        server.stop()


def postgres_tables(run, rounds, name, base):
    pipe, texts = f"{run.BENCH}/pipe-postgres", []
    app, json_app = application(run, "postgres", "postgres", base + name), application(run, "postgres-json", "postgres", base + name)
    counted = application(run, "postgres-counted", "postgres", base + name, "content_hash_bytes_max = 0\n")
    fresh, kept = run.emptied(pipe), lambda folder: run.emptied(folder + "/backups")
    backup = lambda folder, kind="zstd", extra="": nice(run.ours(folder, kind, extra)[0])
    subprocess.check_call(f"pg_dump {name} > /dev/null", shell=True)
    peer, mine = "pg_dump -Fp, zstd -3 -T2", "strongroom native, zstd, encrypted"
    rows = [(peer, fresh, nice(f"pg_dump -Fp {name} | zstd -q -3 -T2 > {pipe}/x"), pipe + "/x"),
            (mine, kept(app), backup(app), app + "/backups/manual"),
            (mine + ", counts only", kept(counted), backup(counted), counted + "/backups/manual")]
    medians = run.contest(rows, rounds)
    medians |= run.contest([("pg_dump -Fc", fresh, nice(f"pg_dump -Fc -f {pipe}/x {name}"), pipe + "/x")], 1)
    texts.append(run.table("PostgreSQL: backup", medians, {mine: peer, mine + ", counts only": peer}))
    texts.append(f"\nOf `pg_dump -Fc`'s time: {medians[mine]['wall_s'] / medians['pg_dump -Fc']['wall_s']:.2f}. "
                 f"Content hashes: {medians[mine]['wall_s'] / medians[mine + ', counts only']['wall_s'] - 1:+.0%} of the time with counts only.")
    tables = subprocess.check_output(f"psql -Atc 'SELECT relname FROM pg_stat_user_tables ORDER BY 1' {name}", shell=True, text=True).split()
    copies = " ".join(f'-c "COPY (SELECT row_to_json(t) FROM {t} t) TO STDOUT"' for t in tables)
    peer_json, mine_json = "psql row_to_json, pigz -p2", "strongroom json, gzip, encrypted"
    rows = [(peer_json, fresh, nice(f"psql -q {copies} {name} | pigz -p2 > {pipe}/x"), pipe + "/x"),
            (mine_json, kept(json_app), backup(json_app, "gzip", "--format json"), json_app + "/backups")]
    texts.append(run.table("PostgreSQL: JSON", run.contest(rows, rounds), {mine_json: peer_json}))
    subprocess.check_call(f"rm -rf {pipe}/d && pg_dump -Fd -j2 -f {pipe}/d {name}", shell=True)
    new = lambda make: (lambda: subprocess.check_call(f"dropdb --if-exists -f bench_new; psql -qc CHECKPOINT postgres; {make}", shell=True))
    restore = nice(f"{run.BINARY} -C {app} restore latest --component data --to {base}bench_new --json")
    peer_restore, mine_restore = "pg_restore -j2 of -Fd", "strongroom, compared with the manifest"
    by_hand = f"createdb bench_new && pg_restore -j2 -d bench_new {pipe}/d && PGOPTIONS='-c default_statistics_target=10' vacuumdb -qZ -j2 bench_new"
    rows = [(peer_restore, new("createdb bench_new"), nice(f"pg_restore -j2 -d bench_new {pipe}/d"), None),
            ("createdb, pg_restore -j2, vacuumdb -Z -j2 of small samples", new("true"), nice(by_hand), None), (mine_restore, new("true"), restore, None)]
    medians = run.contest(rows, rounds)
    texts.append(run.table("PostgreSQL: restore into a new database", medians, {mine_restore: peer_restore}))
    texts.append(f"\nOf the time of all that makes the same database (made, filled, with first statistics; not compared): "
                 f"{medians[mine_restore]['wall_s'] / medians[rows[1][0]]['wall_s']:.2f}.")
    new("true")()
    return texts


def mariadb_section(run, rounds, quarter):
    server, name, base = mariadb(run.BENCH, run.HERE, quarter)
    try:
        return "\n".join(mariadb_tables(run, rounds, name, base))
    finally:
        server.stop()


def mariadb_tables(run, rounds, name, base):
    pipe, texts = f"{run.BENCH}/pipe-mariadb", []
    app, json_app = application(run, "mariadb", "mysql", base + name), application(run, "mariadb-json", "mysql", base + name)
    zipped = application(run, "mariadb-gzip", "mysql", base + name)
    os.makedirs(pipe, exist_ok=True)
    kept = lambda folder: run.emptied(folder + "/backups")
    dump = f"mariadb-dump $MARIA --single-transaction --quick {name}"
    subprocess.check_call(dump + " > /dev/null", shell=True)
    backup = lambda folder, kind, extra="": nice(run.ours(folder, kind, extra)[0])
    mine = {kind: f"strongroom native, {kind}, encrypted" for kind in ("gzip", "zstd")}
    rows = [("mariadb-dump, pigz -p2", lambda: None, nice(f"{dump} | pigz -p2 > {pipe}/gz"), pipe + "/gz"),
            (mine["gzip"], kept(zipped), backup(zipped, "gzip"), zipped + "/backups/manual"),
            ("mariadb-dump, zstd -3 -T2", lambda: None, nice(f"{dump} | zstd -q -f -3 -T2 -o {pipe}/zst"), pipe + "/zst"),
            (mine["zstd"], kept(app), backup(app, "zstd"), app + "/backups/manual"),
            ("strongroom json, gzip, encrypted", kept(json_app), backup(json_app, "gzip", "--format json"), json_app + "/backups")]
    against = {mine["gzip"]: rows[0][0], mine["zstd"]: rows[2][0], rows[4][0]: rows[0][0]}
    texts.append(run.table("MariaDB: backup", run.contest(rows, rounds), against))
    new = lambda make: (lambda: subprocess.check_call(f'mariadb $MARIA -e "DROP DATABASE IF EXISTS bench_new; {make}"', shell=True))
    restore = nice(f"{run.BINARY} -C {app} restore latest --component data --to {base}bench_new --json")
    rows = [("zstd -d, mariadb", new("CREATE DATABASE bench_new"), nice(f"zstd -q -dc {pipe}/zst | mariadb $MARIA bench_new"), None),
            ("strongroom, compared with the manifest", new(""), restore, None)]
    texts.append(run.table("MariaDB: restore into a new database", run.contest(rows, rounds), {rows[1][0]: rows[0][0]}))
    new("")()
    return texts
