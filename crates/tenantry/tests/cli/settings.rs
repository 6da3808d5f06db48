//! Flags, variables and the settings file.

use std::fs;

use crate::support::{DataDir, Server, run, tenantry};

/// A settings file beside the data directory.
fn settings(directory: &DataDir, text: &str) -> std::path::PathBuf {
    let file = directory.path().with_extension("toml");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_flag_wins_over_its_variable_and_a_variable_over_the_file() {
    let directory = DataDir::new();
    let text = format!(
        "data-dir = {:?}\nlisten = \"127.0.0.2:0\"\nlog = \"warn\"\nmaster-key = {:?}\n",
        directory.path(),
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    );
    let file = settings(&directory, &text);
    let serve = || {
        let mut command = tenantry("serve");
        command.env("TENANTRY_CONFIG", &file);
        command
    };
    let listens_on = |server: Server, host: &str| {
        assert!(server.url.starts_with(&format!("http://{host}:")), "{}", server.url);
        server.stop();
    };
    listens_on(Server::start(&mut serve()), "127.0.0.2");
    listens_on(Server::start(serve().env("TENANTRY_LISTEN", "127.0.0.3:0")), "127.0.0.3");
    let mut flag = serve();
    flag.env("TENANTRY_LISTEN", "127.0.0.3:0").args(["--listen", "127.0.0.4:0"]);
    listens_on(Server::start(&mut flag), "127.0.0.4");
    // The directory and the key of the file were used.
    assert!(directory.path().join("tenantry.db").is_file());
    assert!(!directory.path().join("master.key").exists());
}

#[test]
fn a_file_that_cannot_be_used_is_refused() {
    let directory = DataDir::new();
    let absent = directory.path().with_extension("absent");
    let mut command = directory.command("migrate");
    run(command.arg("--config").arg(absent)).failed_with(&["cannot read the settings", "absent"]);
    for (text, words) in [
        ("listen = ", ["is not valid", "data.toml"]),
        ("listen = \"nowhere\"", ["is not valid", "data.toml"]),
        ("lisen = \"127.0.0.1:1\"", ["is not valid", "lisen"]),
        ("[server]\n", ["is not valid", "server"]),
        ("[limits]\nmax-requests = 0", ["max-requests: must be a whole number", "1000000"]),
        ("[limits]\nmax-head-size = \"1KiB\"", ["max-head-size: must be a number", "8192B"]),
        ("[limits]\nidle-timeout = \"soon\"", ["idle-timeout: must be a number", "365d"]),
        ("[limits]\nidle-timeout = 5", ["idle-timeout: ", "string"]),
        ("[limits]\nmax-peers = 5", ["is not valid", "max-peers"]),
    ] {
        let file = settings(&directory, text);
        let mut command = directory.command("migrate");
        run(command.arg("--config").arg(file)).failed_with(&words);
    }
    assert!(!directory.path().exists());
}

#[test]
fn a_file_s_master_key_is_never_repeated() {
    let directory = DataDir::new();
    for text in [
        "master-key = \"correct-horse\"",
        "master-key = correct-horse",
        "master-key = \"correct-horse",
        "master-key = [\"correct-horse\"]",
        "master-key = [\n\"\"\"\ncorrect-horse = \"\"\"]",
    ] {
        let file = settings(&directory, text);
        let mut command = directory.command("serve --listen 127.0.0.1:0");
        let output = run(command.arg("--config").arg(file)).failed_with(&[]);
        assert!(!output.stderr.contains("horse"), "{output:?}");
    }
}

#[test]
fn a_mistaken_flag_is_told_apart_from_a_failure() {
    for arguments in ["serve --max-requests 0", "demo --idle-timeout soon"] {
        let output = run(&mut tenantry(arguments));
        let flag = arguments.split_whitespace().nth(1).unwrap();
        assert!(output.stderr.contains(flag), "{output:?}");
    }
    for arguments in ["serve --listen nowhere", "token", "token --role root", "stats acme", "fly"] {
        let output = run(&mut tenantry(arguments));
        assert_eq!(output.code, Some(2), "{output:?}");
        assert_eq!(output.stdout, "", "{output:?}");
    }
}
