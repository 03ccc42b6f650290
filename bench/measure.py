"""Runs a command and says what it took: wall, CPU (children included), and the peak of the resident memory of its whole
process tree (sampled each 40 ms). Standard library only."""
import os, subprocess, threading, time


def tree(pid):
    found = [pid]
    for p in found:
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                found += map(int, open(f"/proc/{p}/task/{task}/children").read().split())
        except OSError:
            pass
    return found


def resident_bytes(pid):
    total = 0
    for p in tree(pid):
        try:
            total += int(open(f"/proc/{p}/statm").read().split()[1]) * 4096
        except (OSError, IndexError):
            pass
    return total


def size_bytes(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.lstat(os.path.join(d, f)).st_size for d, _, files in os.walk(path) for f in files)


def go_first():
    """With BENCH_NICE, against a busy machine: where sessions share the processors (autogroup), niceness counts only within
    one, so this one goes before others. For measured commands and the servers that they talk to. Not otherwise: it goes
    before the kernel's own threads as well, for which those wait that speak over the network or wait for the disk."""
    if "BENCH_NICE" not in os.environ:
        return
    try:
        open("/proc/self/autogroup", "w").write("-20")
    except OSError:
        pass  # Not privileged, or no such kernel: measured as it is.


def run(command, cwd=None, env=None):
    """Returns {wall_s, cpu_s, peak_bytes, exit, output, error}. `sync` runs first, so that nobody pays for an earlier run."""
    os.sync()
    peak, done, texts = [0], threading.Event(), {}
    started = time.monotonic()
    process = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], cwd=cwd, env=dict(os.environ, **(env or {})),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=go_first)

    def watch():
        while not done.wait(0.04):
            peak[0] = max(peak[0], resident_bytes(process.pid))

    def drain(name, stream):
        texts[name] = stream.read().decode("utf8", "replace")

    threads = [threading.Thread(target=watch)] + [threading.Thread(target=drain, args=a) for a in
               (("output", process.stdout), ("error", process.stderr))]
    for thread in threads:
        thread.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    done.set()
    for thread in threads:
        thread.join()
    return dict(wall_s=wall, cpu_s=usage.ru_utime + usage.ru_stime, peak_bytes=max(peak[0], usage.ru_maxrss * 1024),
                exit=os.waitstatus_to_exitcode(status), **texts)
