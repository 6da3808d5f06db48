//! A server that something is wrong with for a while.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tenantry_testkit::Locked;

use crate::support::{DataDir, PLATFORM, SERVE, Server};

/// The log of the database.
pub(crate) const DATABASE: &str = "tenantry.db-wal";

pub(crate) const STATISTICS: &str = "/admin/tenants/00000000-0000-7000-8000-000000000000/stats";

/// A command that is run by another one, whose words these are.
pub(crate) fn within(words: &[&str], command: &Command) -> Command {
    let (program, arguments) = words.split_first().unwrap();
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// A server, and what was acknowledged so far.
pub(crate) struct Site {
    pub(crate) directory: DataDir,
    pub(crate) server: Server,
    pub(crate) token: String,
    /// API keys of the platform's tenant.
    pub(crate) keys: u64,
    /// Its calls.
    pub(crate) calls: u64,
}

impl Site {
    /// A server on a directory of its own, started within another command.
    pub(crate) fn within(words: &[&str]) -> Self {
        let directory = DataDir::new();
        let server = Server::start(&mut within(words, &directory.command(SERVE)));
        let token = directory.operator();
        Self { directory, server, token, keys: 0, calls: 0 }
    }

    pub(crate) fn size(&self, file: &str) -> u64 {
        fs::metadata(self.directory.path().join(file)).unwrap().len()
    }

    /// Lets it write no file beyond this size, or any.
    pub(crate) fn limit(&self, size: Option<u64>) {
        let size = size.map_or("unlimited".to_owned(), |size| size.to_string());
        let id = self.server.id().to_string();
        let limit = format!("--fsize={size}:");
        assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.server.request("POST", path, &self.token, PLATFORM).json(body)
    }

    pub(crate) fn new_key(&self) -> reqwest::RequestBuilder {
        self.post("/api-keys", &json!({"name": "a key"}))
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.server.request("GET", path, &self.token, PLATFORM)
    }

    /// A change that is made, with its call.
    pub(crate) async fn changes(&mut self) {
        let answer = self.new_key().send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        self.keys += 1;
        self.calls += 1;
    }

    /// Changes until the database's log ends where its file does. Until what is returned is dropped,
    /// it is not written over from its beginning, as it is once all of it is in the database.
    pub(crate) async fn fills_log(&mut self) -> Locked {
        let read = Locked::for_reading(&self.directory.path(), "tenantry.db");
        let before = self.size(DATABASE);
        while self.size(DATABASE) == before {
            self.changes().await;
        }
        read
    }

    /// A read that holds all that was acknowledged, and no more.
    pub(crate) async fn reads(&mut self) {
        let data = self.server.data(STATISTICS, &self.token, PLATFORM).await;
        assert_eq!(data["apiKeys"]["total"], self.keys, "{data}");
        let usage = |member: &str| data["usage"][member].as_u64().unwrap();
        assert_eq!(usage("apiCallsThisMonth") + usage("apiCallsLastMonth"), self.calls, "{data}");
        self.calls += 1;
    }

    /// What was acknowledged is all there is, for the server and on disk, and it recounts.
    pub(crate) async fn is_exact(&mut self) {
        let command = format!("stats {PLATFORM} --json");
        let beside: Value =
            serde_json::from_str(&self.directory.run(&command).succeeded().stdout).unwrap();
        let mut here = self.server.data(STATISTICS, &self.token, PLATFORM).await;
        self.calls += 1;
        here["generatedAt"] = beside["data"]["generatedAt"].clone();
        assert_eq!(here, beside["data"]);
        self.reads().await;
        let found = self.server.data("/api-keys", &self.token, PLATFORM).await;
        self.calls += 1;
        assert_eq!(found["total"], self.keys);
        self.directory.run("verify").succeeded();
    }

    /// It works again without a restart; stops, and has said what was wrong.
    pub(crate) async fn recovers(mut self, said: &str) {
        assert!(self.server.is_ready().await);
        self.changes().await;
        // It counts where others find it, whatever they have done to its files meanwhile.
        self.reads().await;
        self.is_exact().await;
        self.server.terminate();
        let output = self.server.end();
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
        self.directory.run("verify").succeeded();
    }
}

/// It is told to come again, in the shape of every error.
pub(crate) async fn refused(request: reqwest::RequestBuilder) {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body: Value = answer.json().await.unwrap();
    assert_eq!(status, 503, "{body}");
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(body["success"], false);
    assert_eq!(body["message"], "Service unavailable");
    assert_eq!(body["error"]["code"], "UNAVAILABLE");
    assert_eq!(body["requestId"], headers["x-request-id"].to_str().unwrap());
}
