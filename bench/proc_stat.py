"""Pure: what Linux says about a process: proc(5), the files ``stat`` and ``status``."""


def cpu_ticks(stat: str) -> int:
    """Clock ticks in user and system mode: fields 14 and 15 of ``/proc/PID/stat``; the name may hold anything."""
    fields = stat[stat.rindex(")") + 2 :].split()
    return int(fields[11]) + int(fields[12])


def resident_kb(status: str) -> int:
    """KiB resident, ``VmRSS`` of ``/proc/PID/status``."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError("no VmRSS: the process has ended")
