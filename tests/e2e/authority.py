"""A small certificate authority, made with the openssl command."""
import os
import subprocess

_CONFIG = """
[ca]
default_ca = this
[this]
database = {folder}/index.txt
new_certs_dir = {folder}
crlnumber = {folder}/crlnumber
default_md = sha256
default_crl_days = 30
policy = any
rand_serial = yes
unique_subject = no
[any]
commonName = supplied
"""


class Authority:
    """Issues certificates into a folder; files are named after their owners."""

    def __init__(self, folder, name="test-ca"):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.config = self.path("ca.cnf")
        for file, content in (("ca.cnf", _CONFIG.format(folder=folder)), ("index.txt", ""),
                              ("crlnumber", "01\n")):
            with open(self.path(file), "w", encoding="ascii") as f:
                f.write(content)
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-days", "30", "-subj", f"/CN={name}", "-keyout",
                      self.path("ca.key"), "-out", self.ca)

    def path(self, file):
        return os.path.join(self.folder, file)

    @property
    def ca(self):
        return self.path("ca.crt")

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def issue(self, owner, names="", usage="serverAuth,clientAuth", expired=False, file=None):
        """(certificate, key) for a common name; names as "IP:127.0.0.1,DNS:localhost"."""
        file = file or owner
        cert, key, request = (self.path(file + end) for end in (".crt", ".key", ".csr"))
        extensions = self.path(file + ".ext")
        with open(extensions, "w", encoding="ascii") as f:
            f.write(f"extendedKeyUsage={usage}\n")
            if names:
                f.write(f"subjectAltName={names}\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", f"/CN={owner}", "-keyout", key, "-out", request)
        dates = (["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"] if expired
                 else ["-days", "2"])
        self._openssl("ca", "-batch", "-notext", "-config", self.config, "-cert", self.ca,
                      "-keyfile", self.path("ca.key"), "-extfile", extensions, *dates, "-in",
                      request, "-out", cert)
        return cert, key

    def revoke(self, cert):
        self._openssl("ca", "-config", self.config, "-cert", self.ca, "-keyfile",
                      self.path("ca.key"), "-revoke", cert)

    def write_crl(self, path, der=False):
        pem = self.path("crl.pem")
        self._openssl("ca", "-config", self.config, "-cert", self.ca, "-keyfile",
                      self.path("ca.key"), "-gencrl", "-out", pem)
        self._openssl("crl", "-in", pem, "-outform", "DER" if der else "PEM", "-out", path + ".new")
        os.replace(path + ".new", path)
