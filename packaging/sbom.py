"""What is bundled, as SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/), with the licence texts that Debian's packages have."""
import datetime
import hashlib
import json
import pathlib
import re
import shutil
import subprocess

VERSION = re.search(r"VERSION (\S+)", (pathlib.Path(__file__).resolve().parent.parent / "CMakeLists.txt").read_text().split("project(")[1])[1]


def _query(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _packages_of(paths):
    """path -> Debian's package with it: dpkg knows some files by the path before /usr was merged."""
    wanted = {form: path for path in paths for form in (str(path), str(path).removeprefix("/usr"), "/usr" + str(path))}
    lines = subprocess.run(["dpkg-query", "-S", *wanted], capture_output=True, text=True).stdout.splitlines()
    found = {}
    for package, _, file in (line.partition(": ") for line in lines):
        found[wanted[file]] = package.split(",")[0].split(":")[0]
    for path in paths:
        if path not in found:
            raise SystemExit(f"no Debian package has {path}: what it is under is not known")
    return found


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(documents, tree, bundled, seconds):
    """documents/sbom.spdx.json and documents/licenses/PACKAGE for `bundled` (name -> path here) in tree/lib/rerankd."""
    packages = {}
    owners = _packages_of({path.resolve() for path in bundled.values()})
    for name, path in sorted(bundled.items()):
        packages.setdefault(owners[path.resolve()], []).append(name)
    versions = dict(line.split("\t", 1) for line in _query("dpkg-query", "-W", "-f=${Package}\t${Version}\t${source:Package}\n", *packages).splitlines())
    licenses = documents / "licenses"
    licenses.mkdir()
    listed, relations = [], []
    for package, files in sorted(packages.items()):
        version, source = versions[package].split("\t")
        shutil.copyfile(pathlib.Path("/usr/share/doc") / package / "copyright", licenses / package)
        identifier = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", package)
        listed.append({
            "SPDXID": identifier, "name": package, "versionInfo": version, "supplier": "Organization: Debian",
            "downloadLocation": f"https://tracker.debian.org/pkg/{source}", "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
            "licenseComments": f"licenses/{package}", "copyrightText": "NOASSERTION",
            "comment": "; ".join(f"lib/rerankd/{name} sha256 {_sha256(tree / 'lib/rerankd' / name)}" for name in files),
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:deb/debian/{package}@{version.replace('+', '%2B')}"}]})
        relations.append({"spdxElementId": "SPDXRef-rerankd", "relationshipType": "DYNAMIC_LINK", "relatedSpdxElement": identifier})
    own = {"SPDXID": "SPDXRef-rerankd", "name": "rerankd", "versionInfo": VERSION, "supplier": "NOASSERTION",
           "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0",
           "copyrightText": "NOASSERTION",
           "checksums": [{"algorithm": "SHA256", "checksumValue": _sha256(tree / "bin/rerankd")}]}
    digest = hashlib.sha256(json.dumps([own, listed]).encode()).hexdigest()
    (documents / "sbom.spdx.json").write_text(json.dumps({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"rerankd-{VERSION}",
        "documentNamespace": f"urn:rerankd:sbom:{digest}",
        "creationInfo": {"created": datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                         "creators": ["Tool: packaging/sbom.py"]},
        "packages": [own, *listed],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-rerankd"},
                          *relations]}, indent=1) + "\n")
