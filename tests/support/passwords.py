"""Mosquitto's password file, made with its own command."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def password_file(folder: Path, users: Mapping[str, str]) -> Path:
    """A file with these users and passwords."""
    file = folder / "users"
    file.write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
    program = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    subprocess.run([program, "-U", str(file)], check=True, capture_output=True)
    return file
