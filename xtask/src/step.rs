//! One step of a chore: a command that is shown, run in the repository's root, and must succeed.

use std::fmt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// A command with its arguments, in the repository's root.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Shows a command, runs it, and fails with its exit code if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    show(command);
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(status.success(), StepFailed { shown, status });
    Ok(())
}

/// Like [`run`], for what the command writes to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    show(command);
    let shown = shown(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(output.status.success(), StepFailed { shown, status: output.status });
    Ok(output.stdout)
}

/// Like [`run`], but what the command says is shown only if it fails.
#[expect(clippy::print_stderr, reason = "what the command wrote belongs beside its name")]
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    show(command);
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    ensure!(output.status.success(), StepFailed { shown, status: output.status });
    Ok(())
}

/// Shows a command and starts it.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    show(command);
    command.spawn().with_context(|| format!("cannot start `{}`", shown(command)))
}

/// Whether a command can be started and succeeds; what it says is not shown.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    command(program, args).output().is_ok_and(|output| output.status.success())
}

#[expect(clippy::print_stderr, reason = "beside cargo's own progress, which goes there too")]
fn show(command: &Command) {
    eprintln!("+ {}", shown(command));
}

/// The command as a shell would read it, short of quoting.
fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    // A token is long, and nobody's business.
    let variables = variables
        .map(|(name, value)| format!("{}=\"{:.40}\" ", name.display(), value.to_string_lossy()));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.display().to_string()).collect();
    variables.collect::<String>() + &words.join(" ")
}

/// Builds whatever the workspace has, as the tests do, so little is left to build: a program by itself would
/// have its dependencies built once more, with fewer of their features.
pub(crate) fn build_all() -> Result<()> {
    run(&mut command("cargo", &["build", "--workspace", "--all-targets", "--locked"]))
}

/// A step ran and did not succeed.
#[derive(Debug)]
pub(crate) struct StepFailed {
    shown: String,
    status: ExitStatus,
}

impl StepFailed {
    /// The step's own exit code; 1 if it was ended by a signal.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let code = self.status.code().and_then(|code| u8::try_from(code).ok());
        code.map_or(ExitCode::FAILURE, ExitCode::from)
    }
}

impl fmt::Display for StepFailed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` failed ({})", self.shown, self.status)
    }
}

impl std::error::Error for StepFailed {}
