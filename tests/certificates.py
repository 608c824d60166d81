"""An authority of a test's own, and the certificates that it signs."""

import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A private authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = folder / "ca.crt"
        sign = ("-x509", "-days", "2", "-subj", "/CN=authority of a test")
        self._openssl(*_KEY, *sign, "-keyout", "ca.key", "-out", "ca.crt")

    @property
    def pem(self) -> str:
        """The authority's own certificate."""
        return self.certificate.read_text(encoding="utf-8")

    def issue(self, name: str, *names: str) -> tuple[Path, Path]:
        """A certificate of that common name for the names (`DNS:...`, `IP:...`), and its key."""
        certificate, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        about = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={','.join(names)}")
        leaf = ("-addext", "basicConstraints=critical,CA:false", "-CA", "ca.crt", "-CAkey", "ca.key")
        self._openssl("-x509", "-days", "1", *_KEY, *about, *leaf, "-keyout", str(key), "-out", str(certificate))
        return certificate, key

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(["openssl", "req", *words], cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
