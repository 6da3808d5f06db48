//! A browser that a test drives: Chromium, by the `WebDriver` protocol of its chromedriver.
//!
//! The protocol is a few JSON requests, made here: of the crates for it one brings a second HTTP
//! client, and the other changes how `serde_json` orders members in every test.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// How long the browser waits for something to appear on a page: far longer than it takes.
const LIMIT: Duration = Duration::from_mins(1);

const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,1600",
];

/// The member that holds an element's id (`WebDriver`, section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with a profile of its own and one page.
#[derive(Debug)]
pub struct Browser {
    client: reqwest::Client,
    /// The session's URL.
    session: String,
    _driver: Driver,
    /// Its profile, removed last.
    _profile: tempfile::TempDir,
}

/// A chromedriver, which is ended with the value.
#[derive(Debug)]
struct Driver {
    process: Child,
    /// Kept open, for what it has to say later.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Browser {
    /// Starts a browser.
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let (driver, url) = Driver::start();
        let own = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<_> = ARGUMENTS.iter().copied().chain([own.as_str()]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"implicit": u64::try_from(LIMIT.as_millis()).unwrap()},
        }}});
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut browser =
            Self { client, session: format!("{url}/session"), _driver: driver, _profile: profile };
        let id = browser.post("", &wanted).await["sessionId"].clone();
        browser.session = format!("{}/{}", browser.session, id.as_str().unwrap());
        browser
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url})).await;
    }

    /// Clicks the element that this CSS selector finds first, once it is there.
    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.post(&format!("{element}/click"), &json!({})).await;
    }

    /// Types a text into the element that this CSS selector finds first, once it is there.
    pub async fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.post(&format!("{element}/value"), &json!({"text": text})).await;
    }

    /// The text that can be seen of the element that this CSS selector finds first, once it is
    /// there.
    pub async fn text(&self, css: &str) -> String {
        let element = self.find(css).await;
        let text = self.get(&format!("{element}/text")).await;
        text.as_str().unwrap().to_owned()
    }

    /// What a script on the page answers.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Waits until a script on the page answers this. Fails the test if it never does.
    pub async fn until(&self, script: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        let waiting = async {
            while self.run(script).await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let done = tokio::time::timeout(LIMIT, waiting).await;
        assert!(done.is_ok(), "{script} does not come to {wanted}");
    }

    /// Writes a picture of what can be seen, as PNG.
    pub async fn screenshot(&self, file: &Path) {
        use base64::Engine as _;
        let picture = self.get("/screenshot").await;
        let png = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap());
        std::fs::write(file, png.unwrap()).unwrap();
    }

    /// Every URL outside of the browser that was asked for since this was last called, whoever
    /// asked.
    pub async fn requests(&self) -> Vec<String> {
        let mut urls = Vec::new();
        for entry in self.log("performance").await {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            if event["message"]["method"] == "Network.requestWillBeSent" {
                let url = &event["message"]["params"]["request"]["url"];
                urls.push(url.as_str().unwrap().to_owned());
            }
        }
        // The page that a new tab has, of which a part has an origin of its own.
        let inside = ["chrome://", "chrome-untrusted://"];
        urls.retain(|url| !inside.iter().any(|scheme| url.starts_with(scheme)));
        urls
    }

    /// What the console has said since this was last called, breaches of the page's own policy
    /// among it.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.log("browser").await.into_iter();
        entries.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Ends it.
    pub async fn close(self) {
        answer(self.client.delete(&self.session)).await;
    }

    /// The path of an element.
    async fn find(&self, css: &str) -> String {
        let found = self.post("/element", &json!({"using": "css selector", "value": css})).await;
        format!("/element/{}", found[ELEMENT].as_str().unwrap())
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.post("/se/log", &json!({"type": kind})).await;
        log.as_array().unwrap().clone()
    }

    async fn get(&self, path: &str) -> Value {
        answer(self.client.get(format!("{}{path}", self.session))).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        answer(self.client.post(format!("{}{path}", self.session)).json(body)).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Value {
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let value = &answer["value"];
    assert!(value["error"].is_null(), "{}: {}", value["error"], value["message"]);
    value.clone()
}

impl Driver {
    /// Starts a chromedriver on a free port; answers where it listens.
    fn start() -> (Self, String) {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver: {error}; `cargo xtask test` installs it")
            });
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "chromedriver has ended");
            let words = line.trim_end().trim_end_matches('.').rsplit_once("successfully on port ");
            if let Some((_, port)) = words {
                break port.parse::<u16>().unwrap();
            }
        };
        (Self { process, _stdout: stdout }, format!("http://127.0.0.1:{port}"))
    }
}
