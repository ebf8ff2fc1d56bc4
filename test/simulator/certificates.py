"""Certificates for the listeners, good and bad, made with the openssl command.

One authority signs everything but the self-signed certificate, so a test
hands roleferry `ca.pem` and each bad certificate is bad for one reason only.
"""

import os
import ssl
import subprocess
import tempfile
import warnings

CONFIG = """
[ca]
default_ca = own
[own]
dir = {directory}
database = {directory}/index.txt
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
policy = anything
unique_subject = no
email_in_dn = no
[anything]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
commonName = roleferry test authority
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server_right]
subjectAltName = DNS:localhost, DNS:*.provider.test, IP:127.0.0.1
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server_wrong]
subjectAltName = DNS:wrong-host.invalid
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""

# name -> (subject, extensions, first day, last day)
SIGNED = {
    "server": ("localhost", "server_right", "20200101000000Z", "20491231235959Z"),
    "expired": ("localhost", "server_right", "20200101000000Z", "20210101000000Z"),
    "wronghost": ("wrong-host.invalid", "server_wrong", "20200101000000Z", "20491231235959Z"),
}
KINDS = ("server", "expired", "wronghost", "selfsigned")


def ensure(directory):
    """Make ca.pem and KIND.pem (key and certificate together) unless all are there."""
    wanted = ["ca.pem"] + [f"{kind}.pem" for kind in KINDS]
    if all(os.path.exists(os.path.join(directory, name)) for name in wanted):
        return
    with tempfile.TemporaryDirectory(dir=directory, prefix="making-") as work:
        _make_all(work)
        for name in wanted:
            os.replace(os.path.join(work, name), os.path.join(directory, name))


def _make_all(work):
    config = os.path.join(work, "openssl.cnf")
    with open(config, "w", encoding="ascii") as file:
        file.write(CONFIG.format(directory=work))
    open(os.path.join(work, "index.txt"), "w", encoding="ascii").close()
    key = _new_key(work, "ca")
    _openssl(work, "req", "-new", "-x509", "-config", config, "-extensions", "authority",
             "-key", key, "-days", "9000", "-out", "ca.pem")
    for kind, (subject, extensions, first, last) in SIGNED.items():
        key = _new_key(work, kind)
        _openssl(work, "req", "-new", "-config", config, "-key", key,
                 "-subj", f"/CN={subject}", "-out", "request.pem")
        _openssl(work, "ca", "-batch", "-notext", "-config", config, "-cert", "ca.pem",
                 "-keyfile", "ca.key", "-extensions", extensions, "-startdate", first,
                 "-enddate", last, "-in", "request.pem", "-out", f"{kind}.crt")
        _join(work, kind)
    key = _new_key(work, "selfsigned")
    _openssl(work, "req", "-new", "-x509", "-config", config, "-extensions", "server_right",
             "-key", key, "-subj", "/CN=localhost", "-days", "9000", "-out", "selfsigned.crt")
    _join(work, "selfsigned")


def _new_key(work, name):
    _openssl(work, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-out", f"{name}.key")
    return f"{name}.key"


def _join(work, name):
    path = os.path.join(work, f"{name}.pem")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
        for part in ("key", "crt"):
            with open(os.path.join(work, f"{name}.{part}"), "rb") as file:
                out.write(file.read())


def _openssl(work, *arguments):
    result = subprocess.run(("openssl",) + arguments, cwd=work, stdin=subprocess.DEVNULL,
                            capture_output=True, check=False)
    if result.returncode != 0:
        complaint = result.stderr.decode(errors="replace")
        raise RuntimeError(f"openssl {arguments[0]} failed: {complaint}")


def server_context(directory, kind):
    """A TLS 1.2+ server context with the certificate of that kind."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(os.path.join(directory, f"{kind}.pem"))
    return context


def old_context(directory):
    """A context that speaks TLS 1.0 and 1.1 only, or None where the library cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            context = server_context(directory, "server")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
            client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            client.minimum_version = ssl.TLSVersion.TLSv1
            client.set_ciphers("ALL:@SECLEVEL=0")
            client.check_hostname = False
            client.verify_mode = ssl.CERT_NONE
        except (ssl.SSLError, ValueError):
            return None
    return context if _can_shake_hands(context, client) else None


def _can_shake_hands(server_ctx, client_ctx):
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_ctx.wrap_bio(down, up)
    server = server_ctx.wrap_bio(up, down, server_side=True)
    done = set()
    for _ in range(10):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return len(done) == 2
