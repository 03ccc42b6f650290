"""What the service costs: a catalog of 10,000 backups, reads of it with wrk while a backup runs, memory, a large download.

Needs 6 GiB, wrk, and the sqlite3 module of Python. Run as root, the service and wrk get more of the processor than whatever
else the machine does, so that the figures are theirs."""
import atexit, hashlib, json, math, os, random, re, shutil, signal, sqlite3, statistics, subprocess, sys, threading, time, urllib.request
import measure

MIB = 1 << 20
BACKUPS = 10_000
READS = 10_000
DOWNLOAD_MIB = 5 << 10
PORT = 18087
BASE = f"http://127.0.0.1:{PORT}"
URGENT = ["nice", "-n", "-15"] if os.geteuid() == 0 else []


class Service:
    """`strongroom serve` in a folder, ready."""

    def __init__(self, binary, folder, env):
        self.headers = {"Authorization": "Bearer " + env["TOKEN"]} if "TOKEN" in env else {}
        started = time.monotonic()
        self.process = subprocess.Popen(URGENT + [binary, "-C", folder, "serve", "--listen", f"127.0.0.1:{PORT}"],
                                        env=dict(os.environ, **env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        while True:
            try:
                with urllib.request.urlopen(BASE + "/readyz", timeout=5):
                    break
            except OSError:
                if self.process.poll() is not None or time.monotonic() - started > 60:
                    sys.exit("the service does not get ready")
                time.sleep(0.002)
        self.ready_ms = (time.monotonic() - started) * 1000

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(BASE + path, data, {**self.headers, "Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request, timeout=60))["data"]

    def resident_mib(self):
        return measure.resident_bytes(self.process.pid) / MIB

    def job(self, id):
        return self.call("/api/jobs/" + id)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)


class Peak:
    """The largest resident memory while it is open."""

    def __init__(self, service):
        self.service, self.mib, self.over = service, 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.02):
            self.mib = max(self.mib, self.service.resident_mib())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def strongroom(binary, folder, env, *arguments):
    done = subprocess.run([binary, "-C", folder, "--json", *arguments], env=dict(os.environ, **env), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"strongroom {arguments}: {done.stderr}")
    return json.loads(done.stdout)


def fill(catalog, wanted):
    """Copies of a real record with its manifest, each with an id of its own, one an hour back from the next."""
    db = sqlite3.connect(catalog)
    columns = [row[1] for row in db.execute("PRAGMA table_info(backups)")]
    record = dict(zip(columns, db.execute("SELECT * FROM backups").fetchone()))
    manifest = db.execute("SELECT manifest FROM manifests").fetchone()[0]
    for number in range(1, wanted):
        new_id = hashlib.sha256(str(number).encode()).hexdigest()[:12]
        back = number * 3_600_000
        new = {k: v.replace(record["id"], new_id) if isinstance(v, str) else v for k, v in record.items()}
        new.update({k: v - back for k, v in record.items() if k.endswith("_at") and v is not None})
        db.execute(f"INSERT INTO backups ({','.join(new)}) VALUES ({','.join('?' * len(new))})", list(new.values()))
        db.execute("INSERT INTO manifests VALUES (?, ?)", (new_id, manifest.replace(record["id"], new_id)))
    db.commit()
    db.close()


def wrk(token, rate=2000):
    """Reads at least READS times, at about `rate` a second; returns (requests, a second, p50 ms, p99 ms, errors)."""
    seconds = math.ceil(READS / rate)
    while True:
        out = subprocess.run(URGENT + ["wrk", "-t1", "-c8", f"-d{seconds}s", "--latency", "-H", "Authorization: Bearer " + token,
                                       BASE + "/api/backup"], capture_output=True, text=True).stdout
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        if requests >= READS:
            break
        seconds *= 2
    unit = {"us": 0.001, "ms": 1, "s": 1000}
    at = lambda p: (lambda m: float(m.group(1)) * unit[m.group(2)])(re.search(rf"{p}%\s+([\d.]+)(us|ms|s)", out))
    errors = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", out)))
    errors += sum(map(int, re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", out).groups())) if "Socket errors" in out else 0
    return requests, float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), at(50), at(99), errors


def source_folder(folder):
    """In memory where there is room: what is measured is the service and what it writes to the disk."""
    return ("/dev/shm" if shutil.disk_usage("/dev/shm").free > 2 * DOWNLOAD_MIB * MIB else folder) + "/strongroom-bench-source"


def application(folder, uploads, extra=""):
    """Folders of an application without schedules, emptied."""
    for path in (folder, uploads):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path, exist_ok=True)
    with open(folder + "/strongroom.toml", "w") as f:
        f.write(f'[components.uploads]\nkind = "files"\npath = "{uploads}"\n[schedule]\nenabled = false\n{extra}')


def reads(binary, folder, env):
    """A catalog of 10,000 backups: start, memory, and reads while a backup of 4 GiB runs."""
    source = source_folder(folder)
    application(folder, source)
    with open(source + "/first.bin", "wb") as f:
        f.write(random.Random(0).randbytes(MIB))
    strongroom(binary, folder, env, "backup")
    fill(folder + "/backups/.strongroom/catalog.db", BACKUPS)
    token = strongroom(binary, folder, env, "token", "create", "bench", "--scope", "admin")["token"]
    env = {**env, "TOKEN": token}
    starts = []
    for _ in range(5):
        service = Service(binary, folder, env)
        starts.append(service.ready_ms)
        service.stop()
    service = Service(binary, folder, env)
    assert service.call("/api/backup")["total"] == BACKUPS
    time.sleep(5)
    idle = service.resident_mib()
    alone = wrk(token)
    print(f"starts {starts}, idle {idle:.0f} MiB, reads {alone}", flush=True)
    for number in range(64):
        with open(f"{source}/{number}.bin", "wb") as f:
            f.write(random.Random(number).randbytes(64 * MIB))
    with Peak(service) as peak:
        job = service.call("/api/backup/create", {"type": "manual"})["id"]
        while service.job(job)["state"] == "queued":
            time.sleep(0.01)
        # A backup keeps both cores busy: the reads take longer.
        busy = wrk(token, alone[1] / 4)
        overlapped = service.job(job)["state"] == "running"
        print(f"reads during the backup {busy}, peak {peak.mib:.0f} MiB", flush=True)
        while service.job(job)["state"] in ("queued", "running"):
            time.sleep(0.1)
    if service.job(job)["state"] != "succeeded":
        sys.exit(f"the backup: {service.job(job)}")
    if not overlapped:
        sys.exit("the backup was over before the reads were: nothing was measured")
    service.stop()
    shutil.rmtree(source)
    shutil.rmtree(folder)
    start = statistics.median(starts)
    return [(f"start to ready, {BACKUPS:,} backups in the catalog (median of 5)", f"{start:.0f} ms", "< 300 ms", start < 300),
            ("memory, idle", f"{idle:.0f} MiB", "< 128 MiB", idle < 128),
            *latency("nothing else runs", alone), *latency("a backup runs", busy),
            ("memory, highest during backup and reads", f"{peak.mib:.0f} MiB", "< 256 MiB", peak.mib < 256)]


def latency(when, figures):
    requests, rate, p50, p99, errors = figures
    return [(f"`GET /api/backup`, {requests:,} times with 8 connections, {when}: errors", str(errors), "0", errors == 0),
            (f"the same: median, 99th percentile, rate", f"{p50:.1f} ms, {p99:.1f} ms, {rate:,.0f}/s", "99th < 50 ms", p99 < 50)]


def download(binary, folder, env):
    """A 5 GiB archive, taken by a client that hashes it."""
    source = source_folder(folder)
    application(folder, source, '[plans.default]\ncompression = "none"\n')
    try:
        for number in range(DOWNLOAD_MIB // 64):
            with open(f"{source}/{number}.bin", "wb") as f:
                f.write(random.Random(number).randbytes(64 * MIB))
        record = strongroom(binary, folder, env, "backup")
    finally:
        shutil.rmtree(source)
    token = strongroom(binary, folder, env, "token", "create", "bench", "--scope", "admin")["token"]
    service = Service(binary, folder, {**env, "TOKEN": token})
    time.sleep(2)
    before = service.resident_mib()
    request = urllib.request.Request(f"{BASE}/api/backup/{record['id']}/download", headers=service.headers)
    sha256, size, started = hashlib.sha256(), 0, time.monotonic()
    with Peak(service) as peak, urllib.request.urlopen(request) as answer:
        declared = answer.headers["X-Checksum-SHA256"]
        while piece := answer.read(MIB):
            sha256.update(piece)
            size += len(piece)
    seconds = time.monotonic() - started
    service.stop()
    shutil.rmtree(folder)
    if sha256.hexdigest() != declared:
        sys.exit(f"the download's hash is {sha256.hexdigest()}, its header says {declared}")
    growth = peak.mib - before
    return [(f"memory that a download of {size / MIB:,.0f} MiB adds to {before:.0f} MiB", f"{growth:.0f} MiB", "< 16 MiB", growth < 16),
            ("the same: pace, hash compared", f"{size / MIB / seconds:.0f} MiB/s", "", True)]


def run(binary, scratch, env):
    """The section's text. Ends with an error when a goal is missed, after saying everything."""
    folder = scratch + "/app-service"
    rows = reads(binary, folder, env) + download(binary, folder, env)
    lines = ["\n| | measured | goal | |", "|---|---|---|---|"]
    lines += [f"| {what} | {figure} | {goal} | {('reached' if reached else '**missed**') if goal else ''} |" for what, figure, goal, reached in rows]
    return "\n".join(lines)
