"""The repository against restic, rustic, bupstash and borg (those that are installed, or named by RESTIC, RUSTIC, BUPSTASH, BORG),
on the same data in one run. Every contestant does a step before any does the next. What is read is in the page cache for
everybody; what a step leaves that no later one needs is removed after it: all repositories together and a restored copy for
each contestant and round are the most that lies on the disk.

Goals stand beside the figures: a ratio to the named peer, or to the best of those that ran."""
import os, shutil, statistics, subprocess, sys
import measure

MIB = 1 << 20
HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {
    "restic": dict(init="{x} init -q -r {r}", backup="{x} -q -r {r} backup {what}",
                   restore="{x} -q -r {r} restore latest --target {out}", check="{x} -q -r {r} check --read-data",
                   prune="{x} -q -r {r} forget --keep-last 3 --prune"),
    "rustic": dict(init="{x} -r {r} init", backup="{x} -r {r} backup {what}", restore="{x} -r {r} restore latest {out}",
                   check="{x} -r {r} check --read-data", prune="{x} -r {r} forget --keep-last 3 --prune --instant-delete"),
    "bupstash": dict(init="{x} init -r {r} && {x} new-key -o {r}/key", backup="{x} put -q -r {r} -k {r}/key name={n} {what}",
                     # It restores folders only; a single file it hands out.
                     restore="mkdir -p {out} && if [ -d {what} ]; then {x} restore -q -r {r} -k {r}/key --into {out} name={last};"
                             " else {x} get -q -r {r} -k {r}/key name={last} > {out}/content; fi",
                     check="{x} get -q -r {r} -k {r}/key name={last} > /dev/null",
                     prune="for i in 0 1 2 3 4 5 6; do {x} rm -q -r {r} -k {r}/key name=s$i; done; {x} gc -q -r {r}"),
    "borg": dict(init="{x} init -e repokey {r}", backup="{x} create -C zstd,3 {r}::{n} {what}",
                 restore="mkdir -p {out} && cd {out} && {x} extract {r}::{last}", check="{x} check --verify-data {r}",
                 prune="{x} prune --keep-last 3 {r} && {x} compact {r}"),
}
# Step: what is compared, with whom ("best" of the peers), and the goal; a peer that did not run leaves its goal open.
GOALS = {
    "first backup of uploads": [("wall_s", "restic", 0.40), ("cpu_s", "restic", 0.45), ("wall_s", "bupstash", 0.75), ("added", "restic", 1.0)],
    "uploads, nothing changed": [("wall_s", "bupstash", 1.0), ("wall_s", "restic", 0.2), ("wall_s", "rustic", 0.2)],
    "uploads, second day": [("wall_s", "best", 0.5), ("added", "best", 1.05)],
    "restore of uploads": [("wall_s", "rustic", 0.8)],
    "verify all data of uploads": [("wall_s", "rustic", 0.7)],
    "prune 10 to 3": [("wall_s", "rustic", 1.0)],
    "first backup of crm.db": [("wall_s", "rustic", 1.0), ("added", "restic", 1.35)],
    "crm.db, second day, scattered rows": [("added", "best", 0.25), ("wall_s", "rustic", 0.5)],
    "crm.db, second day, recent rows": [("added", "best", 0.21), ("wall_s", "rustic", 0.5)],
    "restore of crm.db": [("wall_s", "rustic", 0.8)],
    "verify all data of crm.db": [("wall_s", "rustic", 0.7)],
}
PEAKS = {"first backup of uploads": 128, "restore of uploads": 192, "restore of crm.db": 192}


class Tool:
    def __init__(self, name, place, commands, binary=""):
        self.name, self.place, self.commands, self.binary, self.count = name, place, commands, binary, 0

    def command(self, step, what, out):
        return self.commands[step].format(x=self.binary, r=self.place, what=what, out=out, n=f"s{self.count}", last=f"s{self.count - 1}")


class Contest:
    """Tools, their repositories, and the rows that came out."""

    def __init__(self, bench, env, rounds):
        self.bench, self.env, self.rounds, self.rows = bench, env, rounds, []
        self.out = bench + "/out"

    def ours(self, label, name, what, binary, example, component):
        app = f"{self.bench}/app-{name}"
        self.clear(app)
        os.makedirs(app)
        with open(app + "/strongroom.toml", "w") as f:
            f.write(f'backup_dir = "{app}/backups"\n[components.data]\n{component}\npath = "{what}"\n')
        mine = f"{binary} -C {app} --json"
        ours = dict(init="true", backup=mine + " backup --format repository", restore=mine + " restore latest --to {out}",
                    check=mine + " verify --repository",
                    prune=f"{example} keep {{r}} 3")
        return Tool(label, app + "/backups/repository", ours)

    def tools(self, name, what, binary, example, component, as_file=None):
        """Ours and the peers; `as_file`: also ours with this folder, in which the database is a file like any other."""
        found = [self.ours("strongroom", name, what, binary, example, component)]
        if as_file:
            found.append(self.ours("strongroom, as a file", name + "-file", as_file, binary, example, 'kind = "files"'))
        for peer, commands in PEERS.items():
            path = shutil.which(os.environ.get(peer.upper(), peer))
            if path:
                found.append(Tool(peer, f"{self.bench}/repository-{name}-{peer}", commands, path))
        for tool in found:
            self.clear(tool.place)
            self.run(tool, "init", what)
        return found

    @staticmethod
    def clear(*places):
        for place in places:
            shutil.rmtree(place, ignore_errors=True)

    def run(self, tool, step, what):
        result = measure.run(tool.command(step, what, self.out), env=self.env)
        if result["exit"] != 0:
            sys.exit(f"{tool.name}, {step}: exit {result['exit']}\n{result['error'][-2000:]}")
        return result

    def step(self, title, tools, step, what, rounds=1):
        results, used = {tool.name: [] for tool in tools}, []
        for _ in range(rounds):
            for tool in tools:
                before = measure.size_bytes(tool.place) if os.path.exists(tool.place) else 0
                if step in ("restore", "check", "prune"):
                    subprocess.call(f"find {tool.place} -type f -exec cat {{}} + > /dev/null", shell=True)
                r = self.run(tool, step, what)
                tool.count += step == "backup"
                r["added"] = measure.size_bytes(tool.place) - before
                if os.path.exists(self.out):
                    # Removed at the end: a file system without a journal is slow to make files where many were removed.
                    used.append(f"{self.out}-{len(used)}")
                    os.rename(self.out, used[-1])
                results[tool.name].append(r)
                print(f"{title:38} {tool.name:11} {r['wall_s']:6.2f} s {r['cpu_s']:6.2f} CPU s {r['peak_bytes'] / MIB:5.0f} MiB {r['added'] / MIB:+8.1f} MiB", flush=True)
        self.clear(*used)
        self.rows.append((title, {name: medians(rs) for name, rs in results.items()}))

    def end(self, tools):
        self.clear(self.out, *(tool.place for tool in tools))

    def markdown(self):
        lines = ["", "| step | | wall s | CPU s | peak MiB | added MiB | against the goal |", "|---|---|---|---|---|---|---|"]
        for title, results in self.rows:
            for name, m in results.items():
                lines.append(f"| {title} | {name} | {m['wall_s']:.2f} | {m['cpu_s']:.2f} | {m['peak_bytes'] / MIB:.0f} | {m['added'] / MIB:.1f} | "
                             + (judge(title, results, name) if name.startswith("strongroom") else "") + " |")
        return "\n".join(lines)


def medians(results):
    return {key: statistics.median(result[key] for result in results) for key in ("wall_s", "cpu_s", "peak_bytes", "added")}


def judge(title, results, name):
    ours, peers = results[name], {n: m for n, m in results.items() if not n.startswith("strongroom")}
    words = []
    for key, against, goal in GOALS.get(title, []):
        others = peers.values() if against == "best" else [peers[against]] if against in peers else []
        what = key.replace("_s", "").replace("cpu", "CPU")
        if not others:
            words.append(f"{what}: {against} not here")
            continue
        ratio = ours[key] / max(min(m[key] for m in others), 1e-9)
        words.append(f"{what} {ratio:.2f} × {against} (goal {goal}{'' if ratio <= goal else ', MISSED'})")
    if title in PEAKS:
        peak = ours["peak_bytes"] / MIB
        words.append(f"peak {peak:.0f} MiB (goal {PEAKS[title]}{'' if peak <= PEAKS[title] else ', MISSED'})")
    return "; ".join(words)


def mutate(*arguments):
    subprocess.check_call([sys.executable, "-B", HERE + "/corpus/mutate.py", *arguments])


def uploads(contest, source, binary, example):
    live = contest.bench + "/live-uploads"
    contest.clear(live)
    subprocess.check_call(["cp", "-a", source, live])
    tools = contest.tools("uploads", live, binary, example, 'kind = "files"')
    contest.step("first backup of uploads", tools, "backup", live)
    # A third of a second each: one run says little.
    contest.step("uploads, nothing changed", tools, "backup", live, max(contest.rounds, 5))
    contest.step("restore of uploads", tools, "restore", live, contest.rounds)
    contest.step("verify all data of uploads", tools, "check", live, max(3, contest.rounds))
    saved = contest.bench + "/saved"
    for day in range(2, 11):
        contest.clear(saved)
        os.makedirs(saved)
        mutate("files", live, saved, "apply", str(day))
        title = "uploads, second day" if day == 2 else "uploads, a later day"
        if tools[0].count < 10:
            contest.step(title, tools, "backup", live)
    contest.rows = [row for row in contest.rows if row[0] != "uploads, a later day"]
    contest.step("prune 10 to 3", tools, "prune", live)
    contest.end(tools)
    contest.clear(live, saved)


def growth(contest, source, binary, example):
    """Ours alone: whether time is linear and memory flat. In turn, and the median of at least three: one run of a few seconds says little."""
    parts = {"1/4": ["q1"], "1/2": ["q1", "q2"], "1/1": ["q1", "q2", "q3", "q4"]}
    folder = lambda label: contest.bench + "/parts-" + label.replace("/", "-")
    for label, quarters in parts.items():
        contest.clear(folder(label))
        os.makedirs(folder(label))
        for quarter in quarters:
            subprocess.check_call(["cp", "-a", f"{source}/{quarter}", f"{folder(label)}/{quarter}"])
    first = len(contest.rows)
    for _ in range(max(contest.rounds, 3)):
        for label in parts:
            tools = [contest.ours("strongroom", "growth", folder(label), binary, example, 'kind = "files"')]
            contest.step(f"growth, {label} of uploads", tools, "backup", folder(label))
            contest.end(tools)
    measured, contest.rows = contest.rows[first:], contest.rows[:first]
    for title in dict.fromkeys(title for title, _ in measured):
        contest.rows.append((title, {"strongroom": medians([results["strongroom"] for found, results in measured if found == title])}))
    contest.clear(*map(folder, parts))


def database(contest, days, binary, example):
    """Peers take the file as it lies there. So does ours in the second row; in the first it is a database: locked, its integrity
    checked, every row hashed."""
    folder = contest.bench + "/live-db"
    live = folder + "/crm.db"
    contest.clear(folder)
    os.makedirs(folder)
    for pattern, day in (("scattered", "s"), ("recent", "r")):
        shutil.copy(f"{days}/crm.day1.db", live)
        tools = contest.tools("crm", live, binary, example, 'kind = "sqlite"', as_file=folder)
        contest.step("first backup of crm.db" if day == "s" else "first", tools, "backup", live)
        shutil.copy(f"{days}/crm.day2{day}.db", live)
        contest.step(f"crm.db, second day, {pattern} rows", tools, "backup", live)
        if day == "s":
            contest.step("restore of crm.db", tools, "restore", live, contest.rounds)
            contest.step("verify all data of crm.db", tools, "check", live, max(3, contest.rounds))
        contest.end(tools)
    contest.clear(folder)
    contest.rows = [row for row in contest.rows if row[0] != "first"]


def export(contest, days, binary, example):
    """Our JSON export, rows in the order of their keys: the second day against the first dump of our own."""
    live, words = contest.bench + "/live.db", []
    for pattern, day, goal in (("scattered", "s", 0.25), ("recent", "r", 0.18)):
        shutil.copy(f"{days}/crm.day1.db", live)
        tools = contest.tools("export", live, binary, example, 'kind = "sqlite"\nexport = "json"')[:1]
        contest.step("first export in key order", tools, "backup", live)
        first = contest.rows[-1][1]["strongroom"]["added"]
        shutil.copy(f"{days}/crm.day2{day}.db", live)
        contest.step(f"export, second day, {pattern} rows", tools, "backup", live)
        ratio = contest.rows[-1][1]["strongroom"]["added"] / first
        words.append(f"{pattern}: {ratio:.2f} of the first export (goal {goal}{'' if ratio <= goal else ', MISSED'})")
        contest.end(tools)
    os.remove(live)
    return "\nSecond day of an export: " + "; ".join(words) + "."


def linear(rows):
    found = {title: results["strongroom"] for title, results in rows if title.startswith("growth")}
    quarter, whole = found["growth, 1/4 of uploads"], found["growth, 1/1 of uploads"]
    return (f"\nGrowth: the whole takes {whole['wall_s'] / quarter['wall_s']:.2f} times as long as a quarter (4 within 10 %: "
            f"{'kept' if whole['wall_s'] <= 4.4 * quarter['wall_s'] else 'MISSED'}), in {whole['peak_bytes'] / quarter['peak_bytes']:.2f} times the memory.")


def profile(bench, source, binary, env):
    """Where a first backup of uploads spends its cycles, by perf, if it is here."""
    if not shutil.which("perf"):
        return ""
    app, data = bench + "/app-profile", bench + "/perf.data"
    shutil.rmtree(app, ignore_errors=True)
    os.makedirs(app)
    with open(app + "/strongroom.toml", "w") as f:
        f.write(f'backup_dir = "{app}/backups"\n[components.data]\nkind = "files"\npath = "{source}"\n')
    record = f"perf record -q -F 499 -o {data} {binary} -C {app} -q --json backup --format repository"
    if measure.run(record, env=env)["exit"] != 0:
        return ""
    report = subprocess.run(f"perf report -i {data} --no-children --sort symbol -q 2>/dev/null", shell=True, capture_output=True, text=True).stdout
    stages = (("compression (zstd, Huffman, FSE)", ("ZSTD", "HUF", "FSE", "HIST")), ("SHA-256", ("sha256",)),
              ("AES and Poly1305", ("aes", "Aes", "poly1305", "ctr::")), ("cutting", ("gear",)),
              ("copies and clearing in memory", ("memmove", "memset", "memcpy")),
              ("writing into the page cache", ("copy_folio_from", "copy_page_from")), ("reading out of it", ("copy_to_iter",)))
    shares = dict.fromkeys([name for name, _ in stages] + ["rest of the kernel", "rest"], 0.0)
    for line in report.splitlines():
        parts = line.split(None, 2)
        if len(parts) < 3 or not parts[0].endswith("%"):
            continue
        stage = next((name for name, words in stages if any(word in parts[2] for word in words)), "rest of the kernel" if parts[1] == "[k]" else "rest")
        shares[stage] += float(parts[0][:-1])
    shutil.rmtree(app, ignore_errors=True)
    os.remove(data)
    rows = "\n".join(f"| {name} | {share:.0f} % |" for name, share in shares.items())
    return "\n\n### Where the cycles of a first backup of uploads go\n\n| stage | share |\n|---|---|\n" + rows


BINDS = """
What binds. Both cores are busy throughout. The format names content and packs by their SHA-256: each byte is hashed before and, once
compressed, after. The peers take crm.db as it lies there, written to or not; "as a file" does the same. As a database it is locked,
its integrity checked and every row hashed besides: one to two CPU seconds that no peer spends. Its blobs are pages
either way, so that the second day is small. With nothing changed, 60,000 files are looked at
and their folders' lists are read from the parent and compared, and the catalog is written durably.
"""


def run(bench, binary, example, env, rounds, quarter):
    env = dict(env, RESTIC_PASSWORD="pw", RESTIC_CACHE_DIR=bench + "/cache", RUSTIC_PASSWORD="pw", RUSTIC_CACHE_DIR=bench + "/cache",
               BORG_PASSPHRASE="pw", BORG_BASE_DIR=bench + "/cache", BORG_RELOCATED_REPO_ACCESS_IS_OK="yes", XDG_CACHE_HOME=bench + "/cache",
               REPOSITORY_KEY=env["BACKUP_ENCRYPTION_KEY"])
    contest = Contest(bench, env, rounds)
    source = bench + "/src/uploads"
    part = source + "/q1" if quarter else source
    uploads(contest, part, binary, example)
    database(contest, bench + "/db", binary, example)
    notes = export(contest, bench + "/db", binary, example)
    if not quarter:
        growth(contest, source, binary, example)
        notes += "\n" + linear(contest.rows)
    notes += profile(bench, part, binary, env)
    shutil.rmtree(bench + "/cache", ignore_errors=True)
    return contest.markdown() + "\n" + notes + "\n" + BINDS.rstrip()
