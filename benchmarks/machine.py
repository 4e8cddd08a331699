"""Which machine and which libraries a table was taken with."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "numpy", "scipy", "numba", "zarr", "zarrs", "tensorstore")


def describe_machine(folder: Path) -> dict[str, str]:
    """Return what is known of the machine; the disk is the one under the folder."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = {name: _version(name) for name in PACKAGES}
    return {
        "CPU": f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory / 2**30:.0f} GiB",
        "disk": describe_disk(folder),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: found for name, found in versions.items() if found},
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def describe_disk(folder: Path) -> str:
    """Return the file system and the device under a folder, as far as the kernel tells."""
    number = os.stat(folder).st_dev  # noqa: PTH116 - only st_dev is asked for
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    words = [_file_system(folder)]
    if device.exists():
        whole = device if (device / "queue").exists() else device.parent
        words += [whole.name, _read(whole / "device" / "model"), _kind(whole)]
    return ", ".join(word for word in words if word)


def _file_system(folder: Path) -> str:
    """Return the type of the mount that holds a folder: of those above it, the longest path."""
    place, best = folder.resolve(), ("", "")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if place.is_relative_to(mount) and len(mount) >= len(best[0]):
            best = mount, kind
    return best[1]


def _kind(device: Path) -> str:
    if "virtio" in str(device):
        return "virtual"  # what lies behind it, the guest's kernel does not know
    return {"0": "solid state", "1": "rotating"}.get(_read(device / "queue" / "rotational"), "")


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
