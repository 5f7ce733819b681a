"""Ports of servers that a command is about to start: is it free, and which process has it?"""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
from pathlib import Path

from bridge_assets.errors import PortError

#: State of a listening socket in /proc/net/tcp.
_LISTENING = "0A"

#: Longest command line that is shown, in characters.
_MAX_COMMAND_LENGTH = 80


def require_free_port(host: str, port: int, option: str = "--port") -> None:
    """Check that a server can listen at an address.

    Raises
    ------
    PortError
        If another process listens there (named, if it can be found out), or this machine does not have the address.
    """
    try:
        listen(host, port).close()
    except OSError as error:
        raise port_error(host, port, option, error) from error


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError if the address cannot be used."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def listen_from(host: str, port: int, attempts: int = 20) -> socket.socket | None:
    """A socket that listens on the first free port from `port` on; None if there is none among `attempts` ports."""
    for candidate in range(port, min(port + attempts, 65536)):
        try:
            return listen(host, candidate)
        except OSError:
            continue
    return None


def port_holder(port: int) -> str:
    """The process that listens on a port, such as `process 812 (dagster dev)`; empty if it cannot be found out."""
    holder = _holder_from_proc(port) if Path("/proc/net/tcp").exists() else _holder_from_lsof(port)
    if not holder:
        return ""
    process_id, command = holder
    shown = command if len(command) <= _MAX_COMMAND_LENGTH else command[: _MAX_COMMAND_LENGTH - 1] + "…"
    return f"process {process_id} ({shown})" if shown else f"process {process_id}"


def port_error(host: str, port: int, option: str, error: OSError) -> PortError:
    """Why a server cannot listen at an address, from the error of `listen`."""
    where = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        holder = port_holder(port)
        return PortError(
            "the port is in use",
            where=where,
            why=f"Used by {holder}" if holder else "Another process listens on it",
            do=f"stop that process, or choose another port, such as {option} {_next_free_port(host, port)}",
        )
    return PortError(
        "cannot listen at this address",
        where=where,
        why=error.strerror or str(error),
        do=f"choose an address of this machine with --host, and a port from 1024 to 65535 with {option}",
    )


def _next_free_port(host: str, port: int) -> int:
    listener = listen_from(host, port + 1)
    if listener is None:
        return port + 1
    with listener:
        return listener.getsockname()[1]


def _holder_from_proc(port: int) -> tuple[int, str] | None:
    """Linux: process id and command line. Only processes of the same user can be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(table).exists():
            rows = [line.split() for line in Path(table).read_text(encoding="ascii").splitlines()[1:]]
            inodes |= {row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port}
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(each.readlink()) in sockets for each in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return int(process.name), command
        except OSError:  # it ended, or belongs to another user
            continue
    return None


def _holder_from_lsof(port: int) -> tuple[int, str] | None:
    """macOS: process id and the name of its program."""
    lsof = shutil.which("lsof")
    if not lsof:
        return None
    listing = subprocess.run(
        [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"], capture_output=True, text=True, check=False
    )
    fields = {line[:1]: line[1:] for line in reversed(listing.stdout.splitlines())}
    return (int(fields["p"]), fields.get("c", "")) if fields.get("p", "").isdigit() else None
