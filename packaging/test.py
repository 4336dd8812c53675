#!/usr/bin/env python3
"""Installs each package where nothing else is, and uses it: ranks, serves a request, stops; scores must be the tree's.

Usage: packaging/test.py PACKAGES [KIND...]      PACKAGES: the folder that packaging/make.sh filled
Kinds: tree, wheel, image, rpm, deb-bookworm, deb-trixie; all by default, and where
they were made wheel-arm64 (packaging/arm64.sh; under QEMU) and wheel-cuda (without a GPU: that the engine is found). The .deb ones make roots with debootstrap (root, network,
some 30 s each) and also upgrade, remove and purge; image and rpm unpack without an engine and run under bubblewrap.
Prints a table: size, seconds until the first answer of a server that was started.
"""
import contextlib
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

QUERY, DOCUMENTS = "what do pandas eat?", ["Paris is in France.", "Pandas eat bamboo."]
EXTRAS = {"wheel-arm64": "*aarch64.whl", "wheel-cuda": "rerankd_cuda-*.whl"}
SUITES = {"deb-bookworm": "bookworm", "deb-trixie": "trixie"}


def run(command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port):
    body = json.dumps({"model": "any", "query": QUERY, "documents": DOCUMENTS}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/rerank", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return {result["index"]: result["relevance_score"] for result in json.load(answer)["results"]}


def serve_once(command):
    """Starts a server, asks it once and stops it: its scores, and the seconds until it had answered."""
    port, begin = free_port(), time.monotonic()
    server = subprocess.Popen([*map(str, command), "serve", "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        while True:
            try:
                scores = ask(port)
                break
            except OSError as error:
                if server.poll() is not None or time.monotonic() - begin > 60:
                    sys.exit(f"{command}: no answer ({error})\n{server.stderr.read() if server.poll() is not None else ''}")
                time.sleep(0.02)
        seconds = time.monotonic() - begin
    finally:
        with contextlib.suppress(ProcessLookupError):
            subprocess.run(["pkill", "-TERM", "-g", str(server.pid)], check=False)
    if server.wait(30) not in (0, -signal.SIGTERM):
        sys.exit(f"{command}: exit status {server.returncode} after SIGTERM")
    return scores, seconds


def use(command):
    """Ranks and serves with the program that `command` runs; the scores of both and the server's seconds."""
    ranked = json.loads(run([*command, "rank", "--query", QUERY, "--format", "json"], input="\n".join(DOCUMENTS)))
    scores, seconds = serve_once(command)
    rows = ranked["results"] if isinstance(ranked, dict) else ranked
    by_rank = {row["index"]: row["relevance_score"] if "relevance_score" in row else row["score"] for row in rows}
    for index, score in by_rank.items():
        if abs(score - scores[index]) > 1e-6:
            sys.exit(f"{command}: rank gives {by_rank}, the server {scores}")
    return scores, seconds


def of(folder, pattern):
    found = sorted(folder.glob(pattern))
    if not found:
        sys.exit(f"{folder} has no {pattern}: packaging/make.sh makes it")
    return found[-1]


def test_tree(packages, scratch):
    tree = packages / "tree"
    return use(["env", "-i", tree / "bin/rerankd"]), sum(path.stat().st_size for path in tree.rglob("*") if not path.is_symlink())


def test_wheel(packages, scratch):
    wheel = of(packages, "rerankd-*x86_64.whl")
    run([sys.executable, "-m", "venv", scratch / "venv"])
    run([scratch / "venv/bin/pip", "install", "-q", "--no-index", wheel])
    scores = json.loads(run([scratch / "venv/bin/python", "-c",
                             "import json, rerankd; m = rerankd.CrossEncoder(); print(json.dumps([float(s) for s in m.predict("
                             f"[({QUERY!r}, d) for d in {DOCUMENTS!r}])]))"], cwd=scratch))
    used = use(["env", "-i", "PATH=/usr/bin", scratch / "venv/bin/rerankd"])
    for index, score in enumerate(scores):
        if abs(score - used[0][index]) > 1e-6:
            sys.exit(f"the library gives {scores}, the program {used[0]}")
    return used, wheel.stat().st_size


def test_wheel_arm64(packages, scratch):
    """pip takes it for arm64 and for nothing else; its program ranks and serves under QEMU, with Debian's libraries of arm64."""
    wheel, root = of(packages, "*aarch64.whl"), packages.parent / "arm64/root"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--only-binary=:all:", "--target", scratch / "site"]
    if not subprocess.run([*pip, wheel], capture_output=True).returncode:
        sys.exit("pip has installed a wheel for arm64 here")
    run([*pip, "--platform", "manylinux_2_34_aarch64", wheel])
    program = scratch / "site/rerankd/bin/rerankd"
    program.chmod(0o755)
    return use(["env", "-i", "qemu-aarch64", "-L", root, program]), wheel.stat().st_size


def test_wheel_cuda(packages, scratch):
    """Beside the wheel of rerankd the engine is found, by program and library; pip would bring cuBLASLt, a GPU is not here."""
    wheels = of(packages, "rerankd-*x86_64.whl"), of(packages, "rerankd_cuda-*.whl")
    run([sys.executable, "-m", "venv", scratch / "venv"])
    run([scratch / "venv/bin/pip", "install", "-q", "--no-index", "--no-deps", *wheels])
    program = ["env", "-i", "PATH=/usr/bin", scratch / "venv/bin/rerankd"]
    said = subprocess.run([*map(str, program), "rank", "--query", "q", "--engine", "cuda"], input="d", capture_output=True, text=True).stderr
    if "is not there" in said or not any(word in said for word in ("cublasLt", "NVIDIA driver", "no GPU", "CUDA driver")):
        sys.exit(f"the cuda engine of {wheels[1].name} is not found: {said}")
    return use(program), wheels[1].stat().st_size


def in_bubblewrap(root):
    return ["bwrap", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--unshare-all", "--share-net",
            "--die-with-parent", "--uid", "65532", "--gid", "65532", "--clearenv", "/usr/bin/rerankd"]


def test_image(packages, scratch):
    image = of(packages, "*.oci.tar")
    (scratch / "oci").mkdir()
    run(["tar", "-xf", image, "-C", scratch / "oci"])
    tag = json.loads((scratch / "oci/index.json").read_text())["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    run(["umoci", "unpack", "--image", f"{scratch}/oci:{tag}", scratch / "bundle"])
    root = scratch / "bundle/rootfs"
    if any((root / place).exists() for place in ("bin/sh", "usr/bin/sh", "usr/bin/bash")):
        sys.exit("the image has a shell")
    for place in ("proc", "dev"):  # as a container engine does
        (root / place).mkdir(exist_ok=True)
    return use(in_bubblewrap(root)), image.stat().st_size


def test_rpm(packages, scratch):
    """The files of the .rpm over the system part of the image: no root of an RPM system can be had here."""
    package = of(packages, "rerankd-[0-9]*.rpm")
    root = scratch / "root"
    root.mkdir()
    cpio = subprocess.run(["rpm2cpio", package], check=True, capture_output=True).stdout
    subprocess.run(["cpio", "-idm", "--quiet"], input=cpio, cwd=root, check=True)
    for system in ("lib64", "usr/lib/x86_64-linux-gnu"):
        (root / system).mkdir(parents=True, exist_ok=True)
    (root / "lib").symlink_to("usr/lib")
    for place in ("proc", "dev", "tmp"):
        (root / place).mkdir()
    shutil.copy("/lib64/ld-linux-x86-64.so.2", root / "lib64")
    for name in ("libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libresolv.so.2"):
        shutil.copy(pathlib.Path("/usr/lib/x86_64-linux-gnu") / name, root / "usr/lib/x86_64-linux-gnu")
    return use(in_bubblewrap(root)), package.stat().st_size


def files_below(root):
    return {str(path.relative_to(root)) for top in ("etc", "usr", "var/cache", "lib/systemd") for path in (root / top).rglob("*")}


def test_deb(packages, scratch, suite):
    package, root = of(packages, "rerankd_*.deb"), scratch / "root"
    run(["debootstrap", "--variant=minbase", "--include=ca-certificates", suite, root])
    ordinary = {path for path in files_below(root) if not path.startswith("var/cache/ldconfig")}
    shutil.copy(package, root / "rerankd.deb")
    in_root = ["chroot", root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"]
    install = [*in_root, "apt-get", "install", "-y", "-q", "--no-install-recommends", "--reinstall", "/rerankd.deb"]
    run(install)
    used = use(in_bubblewrap(root))
    config = root / "etc/rerankd/rerankd.toml"
    config.write_text("port = 9999\n")
    run(install)  # as an upgrade does: an administrator's settings stay
    if config.read_text() != "port = 9999\n":
        sys.exit("an upgrade has overwritten /etc/rerankd/rerankd.toml")
    run([*in_root, "apt-get", "remove", "-y", "-q", "rerankd"])
    if not config.exists() or (root / "usr/bin/rerankd").exists():
        sys.exit("apt remove: the settings must stay, the program must go")
    run([*in_root, "apt-get", "purge", "-y", "-q", "rerankd"])
    left = {path for path in files_below(root) - ordinary if not path.startswith(("var/cache/", "etc/ld.so.cache"))}
    if left:
        sys.exit(f"apt purge has left {sorted(left)[:10]}")
    return used, package.stat().st_size


def main():
    packages = pathlib.Path(sys.argv[1]).resolve()
    kinds = sys.argv[2:] or ["tree", "wheel", "image", "rpm", *SUITES, *(kind for kind, made in EXTRAS.items() if list(packages.glob(made)))]
    expected = None
    print(f"{'package':14} {'MB':>6} {'first answer':>13}   scores")
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="rerankd-packages-") as scratch:
            scratch = pathlib.Path(scratch)
            if kind in SUITES:
                (scores, seconds), size = test_deb(packages, scratch, SUITES[kind])
            else:
                (scores, seconds), size = globals()[f"test_{kind.replace('-', '_')}"](packages, scratch)
        expected = expected or scores
        near = {index: abs(score - expected[index]) < (3e-3 if kind == "wheel-arm64" else 1e-9) for index, score in scores.items()}  # another kernel
        if not all(near.values()):
            sys.exit(f"{kind}: scores {scores}, the first package's are {expected}")
        print(f"{kind:14} {size / 1e6:6.1f} {seconds:11.2f} s   {scores}", flush=True)


if __name__ == "__main__":
    main()
