//! Data directories, each with a platform to measure.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::{Server, output, program};

/// A data directory, until it is dropped.
#[derive(Debug)]
pub(crate) struct Installation {
    directory: TempDir,
}

impl Installation {
    /// One that has nothing but the platform's own tenant.
    pub(crate) fn empty() -> Result<Self> {
        let installation = Self { directory: tempfile::tempdir()? };
        // The first start makes its keys.
        installation.serve()?.stop()?;
        Ok(installation)
    }

    /// A copy of one that nobody uses, on the disk.
    pub(crate) fn copy(&self) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        for entry in std::fs::read_dir(self.path())? {
            let from = entry?.path();
            let to = directory.path().join(from.file_name().context("a file has no name")?);
            std::fs::copy(&from, &to)?;
            // Later flushes wait for this one's bytes otherwise.
            File::open(&to)?.sync_all()?;
        }
        Ok(Self { directory })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A command of the binary about it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = program("tenantry")?;
        command.args(arguments).arg("--data-dir").arg(self.path());
        Ok(command)
    }

    /// What starts its server.
    pub(crate) fn server(&self) -> Result<Command> {
        self.command(&["serve", "--listen", "127.0.0.1:0", "--log", "warn"])
    }

    /// Its server, once it answers.
    pub(crate) fn serve(&self) -> Result<Server> {
        Server::start(&mut self.server()?)
    }

    /// The headers of a super admin, each as `Name: value`.
    pub(crate) fn headers(&self) -> Result<Vec<String>> {
        let token = ["token", "--role", "super_admin", "--ttl", "1d"];
        let token = output(&mut self.command(&token)?)?;
        Ok(vec![format!("Authorization: Bearer {}", token.trim()), platform()])
    }

    /// Recounts everything.
    pub(crate) fn verify(&self) -> Result<()> {
        output(&mut self.command(&["verify"])?).map(drop)
    }
}

/// The header of whoever acts in the platform's own tenant.
pub(crate) fn platform() -> String {
    "x-tenantid: 00000000-0000-7000-8000-000000000000".to_owned()
}
