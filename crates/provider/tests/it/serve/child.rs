//! The running program: started, watched and always ended.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kms_proto::v2::StatusResponse;
use kms_server::client::{Client, ClientError};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    stage::Stage,
    world::{PATIENCE, until},
};

/// A provider process. It is killed when the value is dropped, also by a panic.
pub(crate) struct Provider {
    process: Mutex<Child>,
    socket: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    reading: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

/// How a process ended.
pub(crate) struct Ended {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// All of standard error.
    pub(crate) text: String,
}

impl Ended {
    /// The one line that says why it ended, which is the last.
    #[track_caller]
    pub(crate) fn failed(&self, class: &str) -> Value {
        let lines = self.text.lines();
        let ends = lines
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["message"] == "process.failed");
        let ends: Vec<Value> = ends.collect();
        assert_eq!(ends.len(), 1, "{}", self.text);
        let last = self.text.lines().last().unwrap();
        assert!(last.contains("\"process.failed\""), "{}", self.text);
        assert_eq!(ends[0]["error_class"], class, "{}", self.text);
        assert_eq!(ends[0]["level"], "error");
        ends[0].clone()
    }
}

impl Provider {
    /// Writes the stage's configuration and starts `serve` with it.
    pub(crate) fn start(stage: &Stage) -> Self {
        stage.write_config();
        Self::start_as_it_is(stage)
    }

    /// Starts `serve` with whatever lies where the configuration should be.
    pub(crate) fn start_as_it_is(stage: &Stage) -> Self {
        let mut command = crate::program(&["serve", "--config"]);
        command.arg(stage.config_file());
        Self::run(command, stage)
    }

    /// As [`Provider::start`], by way of another program that in the end becomes `serve`.
    pub(super) fn start_through(mut wrapper: Command, stage: &Stage) -> Self {
        stage.write_config();
        wrapper.arg(env!("CARGO_BIN_EXE_bao-kms-provider"));
        wrapper.args(["serve", "--config"]).arg(stage.config_file());
        Self::run(wrapper, stage)
    }

    pub(super) fn id(&self) -> u32 {
        self.process.lock().unwrap().id()
    }

    fn run(command: Command, stage: &Stage) -> Self {
        Self::run_with(command, stage, Stdio::null())
    }

    pub(crate) fn run_with(mut command: Command, stage: &Stage, input: Stdio) -> Self {
        let mut process = command
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = process.stderr.take().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reading = Arc::new(AtomicBool::new(true));
        let may_read = Arc::clone(&reading);
        let reader = thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                while !may_read.load(Ordering::Relaxed) {
                    thread::park();
                }
                let mut lines = sink.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push(line);
            }
        });
        Self {
            process: Mutex::new(process),
            socket: stage.socket(),
            lines,
            reading,
            reader: Some(reader),
        }
    }

    /// Whether anybody reads what it writes to standard error.
    pub(super) fn read(&self, reading: bool) {
        self.reading.store(reading, Ordering::Relaxed);
        if let Some(reader) = &self.reader {
            reader.thread().unpark();
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.process.lock().unwrap().id();
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Stops it, and returns when none of its threads runs any more.
    pub(super) async fn frozen(&self) {
        self.signal(Signal::STOP);
        let tasks = PathBuf::from(format!("/proc/{}/task", self.id()));
        until("a process that stands still", async || {
            let mut tasks = fs::read_dir(&tasks).unwrap();
            tasks
                .all(|task| stands_still(&task.unwrap().path()))
                .then_some(())
        })
        .await;
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(mut self) -> Ended {
        let status = until("the end of the process", async || {
            self.process.lock().unwrap().try_wait().unwrap()
        })
        .await;
        self.read(true);
        self.reader.take().unwrap().join().unwrap();
        Ended {
            code: status.code(),
            signal: status.signal(),
            text: self.text(),
        }
    }

    /// SIGTERM; it has to end with 0 and take its socket with it.
    pub(crate) async fn terminated(self) -> Ended {
        self.signal(Signal::TERM);
        let socket = self.socket.clone();
        let ended = self.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        assert!(!socket.exists(), "the socket was left behind");
        ended
    }

    /// SIGKILL, as a crash.
    pub(crate) async fn killed(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.ended().await.signal, Some(9));
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.lock().unwrap().try_wait().unwrap().is_none()
    }

    /// Everything on standard error so far.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.join("\n")
    }

    /// The log lines of one event so far.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["message"] == name)
            .collect()
    }

    /// Waits for a line of event `name` whose `field` contains `text`.
    pub(crate) async fn logged(&self, name: &str, field: &str, text: &str) -> Value {
        until(&format!("{name} with {field} {text}"), async || {
            assert!(self.is_running(), "it ended: {}", self.text());
            let said = |line: &Value| line[field].as_str().is_some_and(|v| v.contains(text));
            self.events(name).into_iter().find(said)
        })
        .await
    }

    pub(crate) async fn try_client(&self) -> Result<Client, ClientError> {
        Client::connect(&self.socket, Duration::from_secs(5)).await
    }

    /// A connection, as soon as it listens.
    pub(crate) async fn client(&self) -> Client {
        until("a socket that answers", async || {
            assert!(self.is_running(), "it ended: {}", self.text());
            self.try_client().await.ok()
        })
        .await
    }

    /// A connection whose calls may take a second and a half, for calls that fail late.
    pub(crate) async fn hurried_client(&self) -> Client {
        Client::connect(&self.socket, Duration::from_millis(1500))
            .await
            .unwrap()
    }

    pub(crate) async fn status(&self) -> StatusResponse {
        let status = self.client().await.status().await.unwrap();
        assert_eq!(status.version, "v2");
        match status.healthz.as_str() {
            "ok" => assert!(!status.key_id.is_empty(), "healthy without a key_id"),
            "unhealthy" => assert_eq!(status.key_id, "", "unhealthy with a key_id"),
            other => panic!("healthz is {other}"),
        }
        status
    }

    /// Waits for a healthy Status and gives its key_id.
    pub(crate) async fn healthy(&self) -> String {
        until("a healthy Status", async || {
            let status = self.status().await;
            (status.healthz == "ok").then_some(status.key_id)
        })
        .await
    }

    /// Waits until `/ready` is 503 for `reason`, and Status unhealthy with it.
    pub(crate) async fn unhealthy(&self, reason: &str) {
        until(&format!("unhealthy for {reason}"), async || {
            let (code, body) = self.ready().await;
            let named = body["reasons"]
                .as_array()?
                .iter()
                .any(|word| word == reason);
            (code == 503 && named).then_some(())
        })
        .await;
        assert_eq!(self.status().await.healthz, "unhealthy");
    }

    pub(crate) async fn ready(&self) -> (u16, Value) {
        let answer = self.http("health", "GET", "/ready").await;
        (answer.code, serde_json::from_str(&answer.body).unwrap())
    }

    pub(crate) async fn metrics(&self) -> String {
        let answer = self.http("metrics", "GET", "/metrics").await;
        assert_eq!(answer.code, 200);
        answer.body
    }

    /// The value of one sample, named with all its labels.
    pub(crate) async fn metric(&self, sample: &str) -> Option<f64> {
        let text = self.metrics().await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    pub(crate) async fn http(&self, purpose: &str, method: &str, path: &str) -> Answer {
        let line = self.logged("admin.listening", "purpose", purpose).await;
        let address = line["address"].as_str().unwrap();
        let talk = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        };
        let text = tokio::time::timeout(PATIENCE, talk).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            code: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}

/// Whether a thread is stopped, or has ended meanwhile.
fn stands_still(task: &Path) -> bool {
    let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
    // Its name stands before, in parentheses, and may hold anything.
    stat.rsplit(") ")
        .next()
        .is_none_or(|rest| rest.is_empty() || rest.starts_with('T'))
}

impl Drop for Provider {
    #[expect(
        clippy::print_stderr,
        reason = "a test that fails shows what the process said"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.text());
        }
        let process = self
            .process
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}
