# SPDX-License-Identifier: Apache-2.0
"""The machine, and what was measured on it."""
import os
import platform
import subprocess


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return platform.processor() or platform.machine()
    found = {k.strip(): v.strip() for k, v in fields.items()}
    return (f"{found.get('model name', platform.machine())} (family "
            f"{found.get('cpu family', '?')}, model {found.get('model', '?')})")


def machine(kernel):
    """|kernel| is that of the frames.  The load is that of what else runs."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "aead": kernel,
        "load_before": round(os.getloadavg()[0], 2),
    }


def revision(root):
    """The commit, "-dirty" when more than results differs from it."""
    def git(*argv):
        return subprocess.run(["git", "-C", root, *argv], text=True,
                              capture_output=True, check=True).stdout.strip()
    try:
        differs = git("status", "--porcelain", "--untracked-files=no", "--", ".",
                      ":!bench/results")
        return git("describe", "--always") + ("-dirty" if differs else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
