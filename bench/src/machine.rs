//! The machine that a figure is from.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::process::output;

/// What a reader must know of it to judge a figure.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    filesystem: String,
    rustc: String,
    date: String,
}

impl Machine {
    /// This one; where it does not tell something, that is unknown.
    pub(crate) fn this() -> Self {
        let said = |program: &str, arguments: &[&str]| {
            let said = output(Command::new(program).args(arguments)).ok();
            said.map(|text| text.trim().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let directory = std::env::temp_dir();
        let directory = directory.to_str().unwrap_or("/tmp");
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: processor().unwrap_or_else(unknown),
            kernel: said("uname", &["-sr"]).unwrap_or_else(unknown),
            filesystem: said("findmnt", &["-no", "FSTYPE", "-T", directory])
                .unwrap_or_else(unknown),
            rustc: said("rustc", &["--version"]).unwrap_or_else(unknown),
            date: said("date", &["--utc", "+%F"]).unwrap_or_else(unknown),
        }
    }
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc/cpuinfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, kernel, filesystem, rustc, date } = self;
        write!(f, "{date}: {cores} cores ({processor}), {kernel}, {filesystem}, {rustc}")
    }
}
