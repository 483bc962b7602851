//! Finds processes that outlived their zygote.

use rustix::process::{Pid, Signal, kill_process};

/// Kills every process whose environment names this zygote, until none is left. Returns how many were killed.
pub(crate) fn kill_marked(marker: &str) -> usize {
    let entry = format!("TRADEWIND_GUEST_ZYGOTE={marker}");
    let mut killed = 0;
    // A process that is being looked for can start another one meanwhile.
    for _ in 0..20 {
        let found = marked(entry.as_bytes());
        if found.is_empty() {
            break;
        }
        for pid in found {
            if kill_process(pid, Signal::KILL).is_ok() {
                killed += 1;
            }
        }
        // The time that a killed process needs to disappear.
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    killed
}

fn marked(entry: &[u8]) -> Vec<Pid> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|process| process.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .filter(|pid| {
            // A dead process that waits to be reaped has an empty one.
            std::fs::read(format!("/proc/{pid}/environ", pid = pid.as_raw_nonzero()))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == entry))
        })
        .collect()
}
