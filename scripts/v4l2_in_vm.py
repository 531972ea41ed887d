"""Test the V4L2 source on real kernel devices: Debian's kernel with its test driver vivid, in a virtual machine.

Requires Debian or Ubuntu with `apt-get install qemu-system-x86 busybox-static`, but no hardware. The kernel package is
downloaded to a temporary folder. The machine has read-only access to this computer's files and is emulated, so speeds
are meaningless; image numbers, times and drops are valid.

vivid sends raw images only. With v4l2loopback, built for the same kernel, MJPEG is tested as well:

    apt-get install linux-headers-VERSION; apt-get download v4l2loopback-dkms; dpkg-deb -x v4l2loopback-dkms*.deb loop
    make -C /usr/src/linux-headers-VERSION M=$PWD/loop/usr/src/v4l2loopback-0.12.7 modules

.venv/bin/python scripts/v4l2_in_vm.py
python scripts/v4l2_in_vm.py --kernel linux-image-6.1.0-57-amd64_6.1.192-3_amd64.deb
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "vivid")
_CAMERAS, _LOOPBACK = 3, 20
_INIT = f"""#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc /sys /dev /root
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules/order); do
  case $module in
    vivid.ko) options="n_devs={_CAMERAS} node_types=0x1,0x1,0x1";;
    v4l2loopback.ko) options="devices=1 video_nr={_LOOPBACK}";;
    *) options=;;
  esac
  $b insmod /modules/$module $options || echo "$module is missing"
done
$b mount -t 9p -o trans=virtio,ro,version=9p2000.L,msize=262144,cache=loose host /root || echo "no files"
$b mount -t proc proc /root/proc
$b mount -t sysfs sys /root/sys
$b mount -t devtmpfs dev /root/dev
$b mount -t tmpfs tmp /root/tmp
$b mkdir -p /root/dev/shm && $b mount -t tmpfs shm /root/dev/shm
$b chroot /root /usr/bin/env HOME=/tmp PYTHONPATH={REPOSITORY} PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 \\
  {sys.executable} {Path(__file__).resolve()} --inside
echo "RESULT $?"
$b reboot -f
"""


def main() -> int:
    """Build the machine, run the checks in it, and print their output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", type=Path, help="Debian's package of a kernel; downloaded if not given.")
    parser.add_argument("--loopback", type=Path, help="Module v4l2loopback.ko of this kernel.")
    parser.add_argument("--timeout-s", type=float, default=400)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        return check_all()
    with tempfile.TemporaryDirectory() as folder:
        return run_machine(Path(folder), arguments.kernel, arguments.loopback, arguments.timeout_s)


def run_machine(folder: Path, package: Path | None, loopback: Path | None, timeout_s: float) -> int:
    """Run the checks in the virtual machine, and return their exit status."""
    if package is None:
        depends = subprocess.run(
            ["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=True
        )
        name = re.findall(r"Depends: (linux-image-\S+)", depends.stdout)[0]
        subprocess.run(["apt-get", "download", name], cwd=folder, check=True)
        (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "kernel"], check=True)
    (kernel,) = (folder / "kernel/boot").glob("vmlinuz-*")
    write_initramfs(folder / "initramfs", folder / "kernel", loopback)
    command = (
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1500", "-nographic"),
        *("-nic", "none", "-no-reboot", "-kernel", str(kernel), "-initrd", str(folder / "initramfs")),
        *("-append", "console=ttyS0 quiet panic=-1"),
        *("-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"),
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as machine:
        watchdog = threading.Timer(timeout_s, machine.kill)
        watchdog.start()
        assert machine.stdout is not None
        result = 1
        for line in machine.stdout:
            print(line, end="", flush=True)
            if line.startswith("RESULT"):
                result = int(line.split()[1])
        watchdog.cancel()
    return result


def write_initramfs(path: Path, kernel: Path, loopback: Path | None) -> None:
    """Write the initial file system: busybox, the modules in the order of their dependencies, and the init script."""
    modules: dict[str, Path] = {}
    for name in _MODULES:
        add_module(name, {file.stem.replace("-", "_"): file for file in kernel.rglob("*.ko")}, modules)
    if loopback is not None:
        modules["v4l2loopback"] = loopback
    files = {"init": _INIT.encode(), "modules/order": "\n".join(file.name for file in modules.values()).encode()}
    files["bin/busybox"] = Path("/bin/busybox").read_bytes()
    files |= {f"modules/{file.name}": file.read_bytes() for file in modules.values()}
    folders = ("bin", "modules", "dev", "proc", "sys", "root")
    entries = [(name, 0o040755, b"") for name in folders] + [(name, 0o100755, data) for name, data in files.items()]
    with path.open("wb") as out:
        for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
            fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
            head = ("070701" + "".join(f"{field:08x}" for field in fields) + name).encode() + b"\0"
            out.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))


def add_module(name: str, files: dict[str, Path], modules: dict[str, Path]) -> None:
    """Add a kernel module after its dependencies; some are built into the kernel."""
    name = name.replace("-", "_")
    if name in modules or name not in files:
        return
    found = re.search(rb"\0depends=([^\0]*)", files[name].read_bytes())
    for needed in found[1].decode().split(",") if found else ():
        add_module(needed, files, modules)
    modules[name] = files[name]


def check_all() -> int:
    """Check the source on the devices of this machine; return the number of failures."""
    from core.capture.source import SourceOptions, discover_cameras, open_source
    from core.clock import SYSTEM_CLOCK
    from core.errors import CoreError

    failures: list[str] = []

    def expect(holds: bool, text: str) -> None:
        print(f"{'ok    ' if holds else 'FAILED'} {text}", flush=True)
        if not holds:
            failures.append(text)

    def opened(address: str) -> Any:
        return open_source(address, SourceOptions(camera="a", start_ns=SYSTEM_CLOCK.now_ns()))

    found = discover_cameras()
    for camera in found:
        formats = sorted({mode.format for mode in camera.modes})
        print(f"Found {camera.address}: {camera.title}, {len(camera.modes)} modes: {', '.join(formats)}")
    expect(
        len(found) == _CAMERAS and len({c.address for c in found}) == _CAMERAS, "each camera has an address of its own"
    )
    address = found[0].address
    with contextlib.closing(opened(address)) as source:
        print(f"default mode: {source.mode}")
    small = f"{address}?size=320x180&fps=30&format=yuyv422"
    with contextlib.closing(opened(small)) as source:
        check_times(source, expect)
        check_drops(source, expect)
        check_controls(source, expect)
        try:
            opened(small)
            expect(False, "a camera in use is refused")
        except CoreError as error:
            expect("Close other programs" in error.hint, f"a camera in use is refused: {error.message} {error.hint}")
    with contextlib.closing(opened(small)) as source:
        frames = source.frames()
        next(frames)
        expect(True, "a camera that was closed opens again")
        set_by_name(source, "Disconnect")
        try:
            for _ in range(100):
                next(frames)
            expect(False, "a camera that is unplugged is named")
        except CoreError as error:
            expect("was lost" in error.message, f"a camera that is unplugged is named: {error.message} {error.hint}")
    if Path(f"/dev/video{_LOOPBACK}").exists():
        check_mjpeg(expect)
    check_several([camera.address for camera in found[1:]], expect)
    try:
        opened(f"{found[1].address}?size=123x45")
        expect(False, "an unknown mode is refused")
    except CoreError as error:
        expect("no such mode" in error.message, f"an unknown mode is refused: {error.message} {error.hint}")
    return len(failures)


def check_times(source: Any, expect: Any) -> None:
    """Check image numbers and times of undisturbed images."""
    import numpy as np

    frames = []
    for frame in source.frames():
        late_ns = time.monotonic_ns() - frame.time_ns
        frames.append((frame.sequence, frame.time_ns, frame.source_time_ns, late_ns))
        if len(frames) == 90:
            image = frame.image
            break
    numbers, times, own, late = (np.array(column) for column in zip(*frames, strict=True))
    steps = np.diff(times) / 1e6 / np.diff(numbers)
    error, drops = np.percentile(abs(steps - np.median(steps)), 95), numbers[-1] - numbers[0] - 89
    print(f"       90 images, {drops} drops, period {np.median(steps):.3f} ms, p95 of its error {error:.3f} ms")
    print(f"       time from the kernel's stamp to Python: median {np.median(late) / 1e6:.1f} ms")
    expect(bool((np.diff(numbers) >= 1).all() and (np.diff(times) > 0).all()), "numbers and times increase")
    period = (times[-1] - times[0]) / 1e6 / (numbers[-1] - numbers[0])
    expect(abs(period - 1000 / source.fps) < 0.5, f"the mean period, {period:.2f} ms, is that of {source.fps:g} fps")
    expect(
        bool((times == own).all()), f"times are the kernel's (largest difference {abs(times - own).max() / 1e6:.3f} ms)"
    )
    expect(image.shape == (180, 320, 3) and image.std() > 20, "the image shows the test pattern")


def check_drops(source: Any, expect: Any) -> None:
    """Check that drops are counted exactly: due to a slow reader, the driver, and damaged images."""
    frames = source.frames()
    before = source.damaged
    time.sleep(1.0)
    missing, by_time = count_drops(frames, 20, source.fps)
    expect(
        missing > 0 and abs(missing - by_time) < 1,
        f"{missing} drops while the reader slept; by their times {by_time:.1f}",
    )
    if set_by_name(source, "Percentage of Dropped Buffers", 30):
        missing, by_time = count_drops(frames, 60, source.fps)
        set_by_name(source, "Percentage of Dropped Buffers", 0)
        expect(
            missing > 0 and abs(missing - by_time) < 1, f"{missing} dropped by the driver; by their times {by_time:.1f}"
        )
    if set_by_name(source, "Inject V4L2_BUF_FLAG_ERROR"):
        count_drops(frames, 15, source.fps)
        expect(source.damaged == before + 1, f"{source.damaged - before} damaged image skipped and counted")


def count_drops(frames: Any, count: int, fps: float) -> tuple[int, float]:
    """Return the number of missing images among the next ones, by their numbers and by their times."""
    first = last = next(frames)
    for _ in range(count):
        last = next(frames)
    return last.sequence - first.sequence - count, (last.time_ns - first.time_ns) / 1e9 * fps - count


def check_mjpeg(expect: Any) -> None:
    """Check that JPEG images, some of them truncated, arrive as they were sent."""
    import cv2
    import numpy as np

    from core.capture.source import SourceOptions, damaged_images, open_source
    from core.capture.sources.v4l2 import REQUESTS, V4l2Device, _ImageFormat, _number, _Parameters

    file = os.open(f"/dev/video{_LOOPBACK}", os.O_RDWR)
    image = _ImageFormat(type=2)  # of an output
    image.pix[0], image.pix[1], image.pix[2], image.pix[3], image.pix[5] = 320, 180, _number("MJPG"), 1, 1 << 17
    fcntl.ioctl(file, REQUESTS["S_FMT"][0], image)
    fcntl.ioctl(file, REQUESTS["S_PARM"][0], _Parameters(type=2, numerator=1, denominator=15))
    ended = threading.Event()

    def send() -> None:
        for number in range(10_000):
            data = cv2.imencode(".jpg", np.full((180, 320, 3), 2 * (number % 100) + 20, np.uint8))[1].tobytes()
            os.write(file, data[: len(data) // 2] if number % 10 == 9 else data)
            if ended.wait(1 / 15):
                return

    thread = threading.Thread(target=send)
    thread.start()
    for _ in range(100):  # its mode is available once images are
        with contextlib.closing(V4l2Device(f"/dev/video{_LOOPBACK}")) as device:
            if device.modes():
                break
        time.sleep(0.2)
    with contextlib.closing(
        open_source(f"v4l2:/dev/video{_LOOPBACK}", SourceOptions(camera="a", start_ns=0))
    ) as source:
        print(f"       {source.mode}, stored as {source.template.codec_context.name}")
        frames = [frame for frame, _ in zip(source.frames(), range(60), strict=False)]
        shown = [round((float(frame.image.mean()) - 20) / 2) for frame in frames]
        damaged = damaged_images(source)
    ended.set()
    thread.join()
    os.close(file)
    steps = [(b.sequence - a.sequence, (n - m) % 100) for (a, m), (b, n) in pairwise(zip(frames, shown, strict=True))]
    expect(all(frame.packet is not None for frame in frames), "JPEG images keep their packets")
    expect(all(number % 10 != 9 for number in shown) and damaged >= 5, f"{damaged} cut images skipped and counted")
    expect(all(a == b for a, b in steps), f"numbers are those of the images: {sum(a - 1 for a, _ in steps)} missing")


def check_controls(source: Any, expect: Any) -> None:
    """Check that controls are set and read back."""
    from core.errors import CoreError

    for control in source.controls():
        print(f"       {control}")
    set_to = source.set_control("gain", 120)
    expect(
        set_to.value == 120 and set_to.automatic is False,
        f"gain set by hand: {set_to.value:g}, automatic {set_to.automatic}",
    )
    expect(bool(source.set_control("gain", None).automatic), "gain left to the camera")
    for name, value in (("gain", 1e6), ("exposure", 1000)):
        try:
            source.set_control(name, value)
            expect(False, f"{name} {value:g} is refused")
        except CoreError as error:
            expect(True, f"refused: {error.message} {error.hint}")


def check_several(addresses: list[str], expect: Any) -> None:
    """Record several cameras for five seconds."""
    from core.capture.recorder import Recorder
    from core.capture.source import SourceOptions, open_source

    def opener(name: str, address: str) -> Any:
        return open_source(f"{address}?size=320x180&fps=15", SourceOptions(camera=name, start_ns=0))

    recorder = Recorder({f"cam{i}": address for i, address in enumerate(addresses)}, opener)
    time.sleep(6)
    recorder.stop()
    recorder.close()
    counts = {name: (camera.frames, round(camera.fps, 2), camera.problem) for name, camera in recorder.cameras.items()}
    expect(all(frames > 40 and not problem for frames, _, problem in counts.values()), f"several at once: {counts}")


def set_by_name(source: Any, name: str, value: int = 1) -> bool:
    """Set a control of the test driver by its name; return whether it exists."""
    device = source._device
    number = 0
    with contextlib.suppress(OSError):
        while True:
            query = next_control(device, number)
            number = query.id
            if query.name.decode() == name:
                return bool(device._try_set(number, value))
    print(f"       vivid has no control '{name}'")
    return False


def next_control(device: Any, number: int) -> Any:
    """Return the description of the next control after a number."""
    from core.capture.sources.v4l2 import _Query

    return device._ask("QUERYCTRL", _Query(id=number | 0x80000000))


if __name__ == "__main__":
    sys.exit(main())
