"""Pure: what Linux says about a process: clock_getcpuclockid(3), and the file ``status`` of proc(5)."""


def cpu_clock(pid: int) -> int:
    """The clock that counts the CPU time of all threads of a process, ended ones too, in nanoseconds.

    As the C library makes it of a process id: ``/proc/PID/stat`` counts in ticks of 10 ms, ``schedstat`` one thread.
    """
    return ~pid << 3 | 2


def resident_kb(status: str) -> int:
    """KiB resident, ``VmRSS`` of ``/proc/PID/status``."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError("no VmRSS: the process has ended")
